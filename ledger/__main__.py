from ledger import judged
from tiwlib.runs import results_root, write_json

write_json(results_root() / "claims.json", judged())
