// Declarations only, after the interface that TFLM documents: they let a compiler read encoder_tflm.cc, nothing more.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/schema/schema_generated.h"

#define TFLITE_SCHEMA_VERSION (3)

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

union TfLitePtrUnion {
    int8_t* int8;
    uint8_t* uint8;
};

struct TfLiteTensor {
    TfLitePtrUnion data;
    size_t bytes;
};

namespace tflite {
class MicroOpResolver {};

class MicroInterpreter {
   public:
    MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, uint8_t* tensor_arena,
                     size_t tensor_arena_size);
    TfLiteStatus AllocateTensors();
    TfLiteStatus Invoke();
    TfLiteTensor* input(size_t index);
    TfLiteTensor* output(size_t index);
};
}  // namespace tflite
