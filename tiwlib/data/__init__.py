"""Images by name, or from any folder or zip: uint8 arrays with groups.

data = load("digits", root="data")                  a named data set, see SOURCES
data = folder("faces.zip", root="data", size=64)    the reader's own, with groups
data, n = pair("biased/", "unbiased/", root="data") the reader's own two sets, without
x0 = batch(data.images, np.array([3, 1, 4]))        float32 (3, C, H, W) in [-1, 1]

`python -m tiwlib.data list | prepare SETTING | verify SETTING` does it from a shell.
"""

from tiwlib.data.folders import folder, pair
from tiwlib.data.images import ImageData, Subset, batch
from tiwlib.data.sources import SOURCES, load

__all__ = ["SOURCES", "ImageData", "Subset", "batch", "folder", "load", "pair"]
