"""OpenVINO on its CPU plugin: python openvino_runner.py MODEL.tflite INPUTS.npy OUTPUTS.npy; prints its name.

It runs in an environment that has openvino and numpy, and nothing of Heliograph.
"""

import sys

import numpy as np
import openvino

model, inputs, outputs = sys.argv[1:]
compiled = openvino.Core().compile_model(openvino.Core().read_model(model), "CPU")
pictures = np.load(inputs)  # int8 [N, H, W, 3]
np.save(outputs, np.stack([compiled(picture[None])[0][0] for picture in pictures]))
print(f"OpenVINO {openvino.__version__.split('-')[0]}")
