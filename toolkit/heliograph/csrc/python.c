/* heliograph._core: the integer core for Python, over the stable ABI of 3.10. Arrays travel as bytes. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "heliograph.h"

#define CAPSULE "heliograph._core.model"

typedef struct {
    hg_model model;
    uint8_t *data;
} held;

static void release(PyObject *capsule) {
    held *h = (held *)PyCapsule_GetPointer(capsule, CAPSULE);
    if (h) {
        free(h->data);
        free(h);
    }
}

static const hg_model *model_of(PyObject *capsule) {
    held *h = (held *)PyCapsule_GetPointer(capsule, CAPSULE);
    return h ? &h->model : NULL;
}

static PyObject *corrupt_error; /* a ValueError, so that whoever tells nothing apart may catch that */

/* Bad bytes of a stream are a CorruptError, a mistake of the caller and a bad entropy file a ValueError. */
static PyObject *fail(hg_status status) {
    static const char *const text[] = {"ok",
                                       "bad model",
                                       "a buffer is too small",
                                       "cut",
                                       "corrupt",
                                       "a symbol is beyond 256",
                                       "of another version",
                                       "a size, level, rounding or count is out of range"};
    int is_of_bytes = status == HG_CUT || status == HG_CORRUPT || status == HG_BAD_VERSION;
    PyErr_SetString(is_of_bytes ? corrupt_error : PyExc_ValueError, text[status]);
    return NULL;
}

static PyObject *core_open(PyObject *self, PyObject *args) {
    const char *data;
    Py_ssize_t size;
    held *h;
    hg_status status;
    (void)self;
    if (!PyArg_ParseTuple(args, "y#", &data, &size)) return NULL;
    h = (held *)malloc(sizeof *h);
    if (h == NULL) return PyErr_NoMemory();
    h->data = (uint8_t *)malloc((size_t)size + 1);
    if (h->data == NULL) {
        free(h);
        return PyErr_NoMemory();
    }
    memcpy(h->data, data, (size_t)size);
    status = hg_open(&h->model, h->data, (size_t)size);
    if (status != HG_OK) {
        free(h->data);
        free(h);
        return fail(status);
    }
    return PyCapsule_New(h, CAPSULE, release);
}

static PyObject *core_quantise(PyObject *self, PyObject *args) {
    PyObject *capsule, *result;
    const hg_model *m;
    const char *latents;
    Py_ssize_t size;
    unsigned int level, rounding;
    int16_t *out;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy#II", &capsule, &latents, &size, &level, &rounding)) return NULL;
    if ((m = model_of(capsule)) == NULL) return NULL;
    if (size % m->channels || level >= HG_LEVELS || rounding > 128) return fail(HG_BAD_ARGUMENT);
    result = PyBytes_FromStringAndSize(NULL, 2 * size);
    if (result == NULL) return NULL;
    out = (int16_t *)(void *)PyBytes_AsString(result);
    Py_BEGIN_ALLOW_THREADS
    hg_quantise(m, (const int8_t *)latents, (size_t)size / m->channels, level, rounding, out);
    Py_END_ALLOW_THREADS
    return result;
}

static int is_slice(unsigned rows, unsigned columns) {
    return rows >= 1 && columns >= 1 && rows <= HG_MAX_SLICE && columns <= HG_MAX_SLICE;
}

/* Get a workspace and `extra` bytes behind it in one allocation. */
static uint8_t *prepare(const hg_model *m, Py_ssize_t size, unsigned rows, unsigned columns, hg_task task,
                        size_t extra, size_t *need) {
    if (!is_slice(rows, columns) || (size_t)size != 2 * (size_t)rows * columns * m->channels) {
        fail(HG_BAD_ARGUMENT);
        return NULL;
    }
    *need = hg_workspace(m, rows, columns, task);
    {
        uint8_t *memory = (uint8_t *)calloc(1, *need + extra);
        if (memory == NULL) PyErr_NoMemory();
        return memory;
    }
}

static PyObject *bits_list(const hg_model *m, const uint64_t *bits) {
    PyObject *result = PyList_New(m->layers);
    unsigned int i;
    for (i = 0; result && i < m->layers; i++)
        PyList_SetItem(result, (Py_ssize_t)i, PyLong_FromUnsignedLongLong(bits[i]));
    return result;
}

static PyObject *core_estimate(PyObject *self, PyObject *args) {
    PyObject *capsule;
    const hg_model *m;
    const char *symbols;
    Py_ssize_t size;
    unsigned int rows, columns, level;
    size_t need;
    uint8_t *memory;
    uint64_t bits[HG_MAX_LAYERS];
    hg_status status;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy#III", &capsule, &symbols, &size, &rows, &columns, &level)) return NULL;
    if ((m = model_of(capsule)) == NULL) return NULL;
    if ((memory = prepare(m, size, rows, columns, HG_ENCODE, 0, &need)) == NULL) return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = hg_estimate(m, (const int16_t *)(const void *)symbols, rows, columns, level, memory, need, bits);
    Py_END_ALLOW_THREADS
    free(memory);
    if (status != HG_OK) return fail(status);
    return bits_list(m, bits);
}

static PyObject *core_rdoq(PyObject *self, PyObject *args) {
    PyObject *capsule, *symbols, *list;
    const hg_model *m;
    const char *latents;
    Py_ssize_t size;
    unsigned int rows, columns, level, rounding, strength;
    size_t need;
    uint8_t *memory;
    int16_t *out;
    uint64_t bits[HG_MAX_LAYERS];
    hg_status status;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy#IIIII", &capsule, &latents, &size, &rows, &columns, &level, &rounding, &strength))
        return NULL;
    if ((m = model_of(capsule)) == NULL) return NULL;
    if ((memory = prepare(m, 2 * size, rows, columns, HG_ENCODE, 0, &need)) == NULL) return NULL;
    symbols = PyBytes_FromStringAndSize(NULL, 2 * size);
    if (symbols == NULL) {
        free(memory);
        return NULL;
    }
    out = (int16_t *)(void *)PyBytes_AsString(symbols);
    Py_BEGIN_ALLOW_THREADS
    status = hg_rdoq(m, (const int8_t *)latents, rows, columns, level, rounding, strength, memory, need, out, bits);
    Py_END_ALLOW_THREADS
    free(memory);
    if (status != HG_OK) {
        Py_DECREF(symbols);
        return fail(status);
    }
    list = bits_list(m, bits);
    if (list == NULL) {
        Py_DECREF(symbols);
        return NULL;
    }
    return Py_BuildValue("(NN)", symbols, list);
}

static PyObject *core_encode(PyObject *self, PyObject *args) {
    PyObject *capsule, *result;
    const hg_model *m;
    const char *symbols;
    Py_ssize_t size;
    unsigned int rows, columns, level, i, segments;
    int merged;
    size_t need, capacity, length[HG_MAX_LAYERS];
    uint8_t *memory, *at;
    hg_status status;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy#IIIp", &capsule, &symbols, &size, &rows, &columns, &level, &merged)) return NULL;
    if ((m = model_of(capsule)) == NULL) return NULL;
    capacity = 2 * (size_t)size + 4096; /* a symbol takes 27 bits at most */
    if ((memory = prepare(m, size, rows, columns, HG_ENCODE, capacity, &need)) == NULL) return NULL;
    at = memory + need;
    Py_BEGIN_ALLOW_THREADS
    status = hg_encode(m, (const int16_t *)(const void *)symbols, rows, columns, level, merged, memory, need, at,
                       capacity, length);
    Py_END_ALLOW_THREADS
    if (status != HG_OK) {
        free(memory);
        return fail(status);
    }
    segments = merged ? 1u : m->layers;
    result = PyList_New((Py_ssize_t)segments);
    for (i = 0; result && i < segments; i++) {
        PyObject *segment = PyBytes_FromStringAndSize((const char *)at, (Py_ssize_t)length[i]);
        if (segment == NULL || PyList_SetItem(result, (Py_ssize_t)i, segment) < 0) Py_CLEAR(result);
        at += length[i];
    }
    free(memory);
    return result;
}

static PyObject *core_decode(PyObject *self, PyObject *args) {
    PyObject *capsule, *list, *result = NULL, *counts, *symbols;
    const hg_model *m;
    unsigned int rows, columns, level, i;
    int merged, cut;
    Py_ssize_t segments, j;
    size_t need, size, length[HG_MAX_LAYERS];
    const uint8_t *segment[HG_MAX_LAYERS];
    uint8_t *memory, *out;
    uint64_t done[HG_MAX_LAYERS];
    hg_status status;
    (void)self;
    if (!PyArg_ParseTuple(args, "OO!pIIIp", &capsule, &PyTuple_Type, &list, &cut, &rows, &columns, &level, &merged))
        return NULL;
    if ((m = model_of(capsule)) == NULL) return NULL;
    segments = PyTuple_Size(list);
    if (segments > HG_MAX_LAYERS || !is_slice(rows, columns)) return fail(HG_BAD_ARGUMENT);
    for (j = 0; j < segments; j++) {
        char *data;
        Py_ssize_t bytes;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(list, j), &data, &bytes) < 0) return NULL;
        segment[j] = (const uint8_t *)data;
        length[j] = (size_t)bytes;
    }
    size = 2 * (size_t)rows * columns * m->channels;
    /* Zero pages that no byte of the stream has reached cost nothing; a bytes object would be filled at once. */
    memory = prepare(m, (Py_ssize_t)size, rows, columns, HG_DECODE, size + 8, &need);
    if (memory == NULL) return NULL;
    out = memory + ((need + 7) & ~(size_t)7);
    Py_BEGIN_ALLOW_THREADS
    status = hg_decode(m, segment, length, (uint32_t)segments, cut, rows, columns, level, merged, memory, need,
                       (int16_t *)(void *)out, done);
    Py_END_ALLOW_THREADS
    if (status != HG_OK) {
        free(memory);
        return fail(status);
    }
    symbols = PyBytes_FromStringAndSize((const char *)out, (Py_ssize_t)size);
    free(memory);
    if (symbols == NULL) return NULL;
    counts = PyList_New(m->layers);
    for (i = 0; counts && i < m->layers; i++)
        PyList_SetItem(counts, (Py_ssize_t)i, PyLong_FromUnsignedLongLong(done[i]));
    if (counts) result = PyTuple_Pack(2, symbols, counts);
    Py_XDECREF(counts);
    Py_DECREF(symbols);
    return result;
}

static PyObject *core_parse(PyObject *self, PyObject *args) {
    const char *data;
    Py_ssize_t size;
    hg_header h;
    hg_status status;
    size_t at;
    uint32_t i, length;
    PyObject *lengths;
    (void)self;
    if (!PyArg_ParseTuple(args, "y#", &data, &size)) return NULL;
    status = hg_parse(&h, (const uint8_t *)data, (size_t)size);
    if (status != HG_OK) return fail(status);
    lengths = PyList_New(0);
    for (i = 0, at = h.lengths_at; lengths && i < h.segments; i++) {
        PyObject *item;
        hg_next_length((const uint8_t *)data, (size_t)size, &at, &length);
        item = PyLong_FromUnsignedLong(length);
        if (item == NULL || PyList_Append(lengths, item) < 0) Py_CLEAR(lengths);
        Py_XDECREF(item);
    }
    if (lengths == NULL) return NULL;
    return Py_BuildValue("(y#IIIIIInIN)", (const char *)h.codec, (Py_ssize_t)sizeof h.codec, h.width, h.height,
                         h.level, h.parts, h.side, h.across * h.down, (Py_ssize_t)h.size, h.crc, lengths);
}

static PyObject *core_segment_crc(PyObject *self, PyObject *args) {
    const char *data;
    Py_ssize_t size;
    unsigned int header_crc, number;
    (void)self;
    if (!PyArg_ParseTuple(args, "IIy#", &header_crc, &number, &data, &size)) return NULL;
    return PyLong_FromUnsignedLong(hg_segment_crc(header_crc, number, (const uint8_t *)data, (size_t)size));
}

static PyMethodDef methods[] = {
    {"parse", core_parse, METH_VARARGS,
     "parse(data): codec id, width, height, level, parts, side, slices, size, CRC, lengths of a header."},
    {"segment_crc", core_segment_crc, METH_VARARGS, "segment_crc(header_crc, number, payload)."},
    {"open", core_open, METH_VARARGS, "open(data): an entropy file, checked, for the other functions."},
    {"quantise", core_quantise, METH_VARARGS, "quantise(model, latents, level, rounding): symbols."},
    {"estimate", core_estimate, METH_VARARGS, "estimate(model, symbols, rows, columns, level): bits of each layer."},
    {"rdoq", core_rdoq, METH_VARARGS,
     "rdoq(model, latents, rows, columns, level, rounding, strength): symbols, bits of each layer."},
    {"encode", core_encode, METH_VARARGS, "encode(model, symbols, rows, columns, level, merged): segments."},
    {"decode", core_decode, METH_VARARGS,
     "decode(model, segments, cut, rows, columns, level, merged): symbols, residuals read of each layer."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_core", "Heliograph's integer core in C.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__core(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddIntConstant(module, "INTERFACE", 3) < 0) Py_CLEAR(module);
    if (module == NULL) return NULL;
    corrupt_error = PyErr_NewException("heliograph._core.CorruptError", PyExc_ValueError, NULL);
    if (corrupt_error == NULL || PyModule_AddObjectRef(module, "CorruptError", corrupt_error) < 0) Py_CLEAR(module);
    return module;
}
