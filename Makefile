# make reproduce   everything, from nothing: environment, five notebooks, figures and numbers under results/
# make test        environment, then ruff, pytest, and nbval over the notebooks
# make siblings    the sibling methods on four problems, 3 seeds (notebook 08)
# make notebooks   run the committed notebooks anew, in place (after a change of a .py)
#
# More seeds:      make reproduce SEEDS="0 1 2"
# Other methods:   make reproduce METHODS="dsm_obs tiw_dsm"

PYTHON  ?= python3
SEEDS   ?= 0
METHODS ?= dsm_ref dsm_obs dsm_obs_half iw_dsm tiw_dsm w_only c_only
JOBS    ?= 2

NOTEBOOKS := 01_density_ratio_2d 02_biased_datasets 03_ratio_accuracy 04_train 05_figures
SIBLINGS  := siblings-0v1 siblings-low-high siblings-long-tail
TRAIN     := $(foreach seed,$(SEEDS),$(foreach method,$(METHODS),train-$(method)-$(seed)))

# One thread a notebook, JOBS notebooks at a time: the networks are small. What a notebook prints, its progress
# bars too (every 5 seconds), goes to build/NAME.log; the end of the log is shown if it fails.
ENV := PATH="$(CURDIR)/.venv/bin:$$PATH" OMP_NUM_THREADS=1 TQDM_MININTERVAL=5
define RUN
@mkdir -p build; echo "$@: running; tail -f build/$@.log"; began=$$(date +%s); \
$(ENV) papermill --log-output --no-progress-bar notebooks/$(1).ipynb build/$@.ipynb $(2) > build/$@.log 2>&1 \
&& echo "$@: done in $$(($$(date +%s) - began)) s" || { tail -n 25 build/$@.log; echo "$@: failed"; exit 1; }
endef

.PHONY: reproduce test notebooks figures siblings $(SIBLINGS) $(TRAIN) 01 02 03 03-digits

reproduce: .venv/ready
	@$(MAKE) --no-print-directory --jobs $(JOBS) 01 02 03 $(TRAIN) 03-digits
	@$(MAKE) --no-print-directory figures
	@echo "done: figures and numbers are under results/, executed notebooks under build/"

01 02 03: .venv/ready
	$(call RUN,$(filter $@_%,$(NOTEBOOKS)))

03-digits: .venv/ready
	$(call RUN,03_ratio_accuracy,-f notebooks/params/03_images.yaml)

# train-METHOD-SEED; dsm_obs_half is plain training on half-and-half batches, the fair partner of W-only.
METHOD    = $(word 2,$(subst -, ,$@))
$(TRAIN): .venv/ready
	$(call RUN,04_train,-p seed $(lastword $(subst -, ,$@)) -p method $(METHOD:_half= -p reference_fraction 0.5))

siblings: .venv/ready
	@$(MAKE) --no-print-directory --jobs $(JOBS) $(SIBLINGS)
	$(call RUN,08_siblings)

$(SIBLINGS): siblings-%: .venv/ready
	$(call RUN,08_siblings,-f notebooks/params/08_$*.yaml)

figures: .venv/ready
	$(call RUN,05_figures)

test: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	OMP_NUM_THREADS=1 .venv/bin/pytest -n 2 --dist loadfile
	$(ENV) python tests/run_nbval.py

notebooks: .venv/ready
	$(ENV) python notebooks/execute.py $(NOTEBOOKS)
	$(ENV) python -m tiwlib.report

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@
