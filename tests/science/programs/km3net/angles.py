"""Angles and frames of known directions."""

import json

import numpy as np
import table
from fit import axes_of

z, a = table.angles(np.array([[0, 0, -1.0], [0, 0, 1], [-1, 0, 0], [0, -1, 0]]))
d = np.array([[0.3, -0.5, 0.2], [0, 0, 1], [0, 0, -1]])
d /= np.linalg.norm(d, axis=1, keepdims=True)
frames = np.concatenate([axes_of(d), d[:, None]], axis=1)
unit = np.abs(frames @ frames.transpose(0, 2, 1) - np.eye(3)).max()
# the first axis is that of growing polar angle of the direction, the second that of growing azimuth
turned = d[0] + 1e-6 * axes_of(d)[0]
polar = np.degrees(np.arccos(turned[:, 2] / np.linalg.norm(turned, axis=1))) - np.degrees(np.arccos(d[0, 2]))
print(json.dumps([z.tolist(), a.tolist(), float(unit), polar.tolist()]))
