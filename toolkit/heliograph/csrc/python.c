/* heliograph._core: the integer core for Python, over the stable ABI of 3.10. Arrays travel as bytes. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "erasure.h"
#include "heliograph.h"
#include "resize.h"

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
                                       "of another version",
                                       "a size, level, rounding, strength, count or reference is out of range"};
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

static int is_slice(unsigned rows, unsigned columns) {
    return rows >= 1 && columns >= 1 && rows <= HG_MAX_SLICE && columns <= HG_MAX_SLICE;
}

/* Get a workspace, zeros for the values of a slice behind it, and `extra` bytes more, in one allocation. */
static uint8_t *prepare(const hg_model *m, unsigned rows, unsigned columns, hg_task task, int referring, size_t extra,
                        size_t *need, int16_t **values) {
    size_t size = 2 * (size_t)rows * columns * m->channels, start;
    uint8_t *memory;
    *need = hg_workspace(m, rows, columns, task, referring);
    start = (*need + 7) & ~(size_t)7;
    /* Zero pages that no byte of a stream has reached cost nothing; a bytes object would be filled at once. */
    memory = (uint8_t *)calloc(1, start + size + extra);
    if (memory == NULL) PyErr_NoMemory();
    *values = (int16_t *)(void *)(memory + start);
    return memory;
}

/* The reference of a slice from a bytes object or None; 0 with an error set where it does not fit the slice. */
static int read_reference(PyObject *object, unsigned level, size_t size, hg_reference *reference, int *referring) {
    char *data;
    Py_ssize_t bytes;
    *referring = object != Py_None;
    if (!*referring) return 1;
    if (PyBytes_AsStringAndSize(object, &data, &bytes) < 0) return 0;
    if ((size_t)bytes != size) {
        fail(HG_BAD_ARGUMENT);
        return 0;
    }
    reference->values = (const int16_t *)(const void *)data;
    reference->level = level;
    return 1;
}

static PyObject *numbers(const hg_model *m, const uint64_t *number) {
    PyObject *result = PyList_New(m->layers);
    unsigned int i;
    for (i = 0; result && i < m->layers; i++)
        PyList_SetItem(result, (Py_ssize_t)i, PyLong_FromUnsignedLongLong(number[i]));
    return result;
}

static PyObject *core_encode(PyObject *self, PyObject *args) {
    PyObject *capsule, *object, *segments, *result, *bits;
    const hg_model *m;
    const char *given;
    hg_latents latents = {NULL, NULL, NULL};
    Py_ssize_t size;
    unsigned int rows, columns, level, rounding, strength, merge_below, short_below, reference_level, i;
    int only_estimate, referring;
    size_t need, count, capacity, k;
    uint8_t *memory, *at;
    int16_t *values;
    hg_reference reference;
    hg_coded coded;
    hg_status status;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy#IIIIIIIOIp", &capsule, &given, &size, &rows, &columns, &level, &rounding,
                          &strength, &merge_below, &short_below, &object, &reference_level, &only_estimate))
        return NULL;
    if ((m = model_of(capsule)) == NULL) return NULL;
    count = (size_t)rows * columns * m->channels;
    if (!is_slice(rows, columns) || (size_t)size != 2 * count) return fail(HG_BAD_ARGUMENT);
    for (k = 0; k < count; k++) {
        const int16_t latent = ((const int16_t *)(const void *)given)[k];
        if (latent < -2048 || latent > 2047) return fail(HG_BAD_ARGUMENT);
    }
    if (!read_reference(object, reference_level, 2 * count, &reference, &referring)) return NULL;
    capacity = only_estimate ? 0 : 6 * count + 4096; /* a residual takes 29 bits at most, a flag 14 */
    memory = prepare(m, rows, columns, HG_ENCODE, referring, capacity, &need, &values);
    if (memory == NULL) return NULL;
    at = (uint8_t *)values + 2 * count;
    latents.exact = (const int16_t *)(const void *)given;
    Py_BEGIN_ALLOW_THREADS
    status = hg_encode(m, &latents, rows, columns, level, rounding, strength, merge_below, short_below,
                       referring ? &reference : NULL, memory, need, values, only_estimate ? NULL : at, capacity,
                       &coded);
    Py_END_ALLOW_THREADS
    if (status != HG_OK) {
        free(memory);
        return fail(status);
    }
    segments = PyList_New(only_estimate ? 0 : (Py_ssize_t)coded.segments);
    for (i = 0; segments && !only_estimate && i < coded.segments; i++) {
        PyObject *segment = PyBytes_FromStringAndSize((const char *)at, (Py_ssize_t)coded.length[i]);
        if (segment == NULL || PyList_SetItem(segments, (Py_ssize_t)i, segment) < 0) Py_CLEAR(segments);
        at += coded.length[i];
    }
    result = PyBytes_FromStringAndSize((const char *)values, (Py_ssize_t)(2 * count));
    bits = numbers(m, coded.bits);
    free(memory);
    if (segments == NULL || result == NULL || bits == NULL) {
        Py_XDECREF(segments);
        Py_XDECREF(result);
        Py_XDECREF(bits);
        return NULL;
    }
    return Py_BuildValue("(NNNN)", segments, result, bits, PyBool_FromLong((long)coded.is_short));
}

static PyObject *core_decode(PyObject *self, PyObject *args) {
    PyObject *capsule, *list, *object, *result, *counts;
    const hg_model *m;
    unsigned int rows, columns, level, reference_level;
    int form, cut, referring;
    Py_ssize_t segments, j;
    size_t need, size, length[HG_MAX_LAYERS];
    const uint8_t *segment[HG_MAX_LAYERS];
    uint8_t *memory;
    int16_t *values;
    uint64_t done[HG_MAX_LAYERS];
    hg_reference reference;
    hg_status status;
    (void)self;
    if (!PyArg_ParseTuple(args, "OO!pIIIiOI", &capsule, &PyTuple_Type, &list, &cut, &rows, &columns, &level, &form,
                          &object, &reference_level))
        return NULL;
    if ((m = model_of(capsule)) == NULL) return NULL;
    segments = PyTuple_Size(list);
    if (segments > HG_MAX_LAYERS || form < HG_LAYERED || form > HG_SHORT || !is_slice(rows, columns)) return fail(HG_BAD_ARGUMENT);
    for (j = 0; j < segments; j++) {
        char *data;
        Py_ssize_t bytes;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(list, j), &data, &bytes) < 0) return NULL;
        segment[j] = (const uint8_t *)data;
        length[j] = (size_t)bytes;
    }
    size = 2 * (size_t)rows * columns * m->channels;
    if (!read_reference(object, reference_level, size, &reference, &referring)) return NULL;
    memory = prepare(m, rows, columns, HG_DECODE, referring, 0, &need, &values);
    if (memory == NULL) return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = hg_decode(m, segment, length, (uint32_t)segments, cut, rows, columns, level, (hg_form)form,
                       referring ? &reference : NULL, memory, need, values, done);
    Py_END_ALLOW_THREADS
    if (status != HG_OK) {
        free(memory);
        return fail(status);
    }
    result = PyBytes_FromStringAndSize((const char *)values, (Py_ssize_t)size);
    free(memory);
    counts = numbers(m, done);
    if (result == NULL || counts == NULL) {
        Py_XDECREF(result);
        Py_XDECREF(counts);
        return NULL;
    }
    return Py_BuildValue("(NN)", result, counts);
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
    return Py_BuildValue("(y#IIIIIInINy#IIIii)", (const char *)h.codec, (Py_ssize_t)sizeof h.codec, h.width, h.height,
                         h.level, h.parts, h.side, h.across * h.down, (Py_ssize_t)h.size, h.crc, lengths,
                         (const char *)h.reference, (Py_ssize_t)(h.referring ? sizeof h.reference : 0),
                         h.reference_level, h.depth, h.scale, (int)h.is_short,
                         h.refined ? (int)h.base_level : -1);
}

static PyObject *core_segment_crc(PyObject *self, PyObject *args) {
    const char *data;
    Py_ssize_t size;
    unsigned int header_crc, number;
    (void)self;
    if (!PyArg_ParseTuple(args, "IIy#", &header_crc, &number, &data, &size)) return NULL;
    return PyLong_FromUnsignedLong(hg_segment_crc(header_crc, number, (const uint8_t *)data, (size_t)size));
}

static PyObject *core_rebuild(PyObject *self, PyObject *args) {
    const char *places, *data, *wanted;
    Py_ssize_t count, size, wanted_count, piece, i;
    uint8_t weights[HG_MAX_PLACES];
    PyObject *result;
    char *out;
    int is_right;
    (void)self;
    if (!PyArg_ParseTuple(args, "y#y#ny#", &places, &count, &data, &size, &piece, &wanted, &wanted_count)) return NULL;
    is_right = count >= 1 && count <= HG_MAX_PLACES && piece >= 1 && piece <= PY_SSIZE_T_MAX / HG_MAX_PLACES &&
               size <= count * piece && wanted_count <= HG_MAX_PLACES &&
               hg_erasure_weigh((const uint8_t *)places, (uint32_t)count, weights);
    for (i = 0; is_right && i < wanted_count; i++) is_right = (uint8_t)wanted[i] < HG_MAX_PLACES;
    if (!is_right) {
        PyErr_SetString(PyExc_ValueError, "a place, count or size is out of range, or a place is there twice");
        return NULL;
    }
    result = PyBytes_FromStringAndSize(NULL, wanted_count * piece);
    if (result == NULL) return NULL;
    out = PyBytes_AsString(result);
    Py_BEGIN_ALLOW_THREADS
    for (i = 0; i < wanted_count; i++)
        hg_erasure_piece((const uint8_t *)places, weights, (uint32_t)count, NULL, 0, (const uint8_t *)data,
                         (size_t)size, (size_t)piece, (uint8_t)wanted[i], (uint8_t *)out + i * piece);
    Py_END_ALLOW_THREADS
    return result;
}

static PyObject *core_shrink(PyObject *self, PyObject *args) {
    const char *data;
    Py_ssize_t bytes;
    unsigned int width, height, small_width, small_height, y;
    size_t size, out;
    uint8_t *memory, *at;
    hg_resize r;
    PyObject *result;
    (void)self;
    if (!PyArg_ParseTuple(args, "y#IIII", &data, &bytes, &width, &height, &small_width, &small_height)) return NULL;
    size = hg_resize_workspace(width, height, small_width, small_height);
    if (size == 0 || (size_t)bytes != 3 * (size_t)width * height) return fail(HG_BAD_ARGUMENT);
    out = 3 * (size_t)small_width * small_height;
    memory = (uint8_t *)malloc(size + out);
    if (memory == NULL) return PyErr_NoMemory();
    at = memory + size;
    Py_BEGIN_ALLOW_THREADS
    hg_resize_begin(&r, width, height, small_width, small_height, memory, size);
    for (y = 0; y < height; y++) {
        hg_resize_take(&r, (const uint8_t *)data + 3 * (size_t)y * width);
        while (hg_resize_give(&r, at)) at += 3 * (size_t)small_width;
    }
    Py_END_ALLOW_THREADS
    result = PyBytes_FromStringAndSize((const char *)memory + size, (Py_ssize_t)out);
    free(memory);
    return result;
}

static PyMethodDef methods[] = {
    {"parse", core_parse, METH_VARARGS,
     "parse(data): codec id, width, height, level, parts, side, slices, size, CRC, lengths, reference's id (empty: none),\n"
     "level and depth, scale, whether it is short, level of the base or -1."},
    {"segment_crc", core_segment_crc, METH_VARARGS, "segment_crc(header_crc, number, payload)."},
    {"open", core_open, METH_VARARGS, "open(data): an entropy file, checked, for the other functions."},
    {"encode", core_encode, METH_VARARGS,
     "encode(model, latents, rows, columns, level, rounding, strength, merge_below, short_below, reference or None,\n"
     "its level, only_estimate): segments, values, bits of each layer, whether they are of the short form."},
    {"decode", core_decode, METH_VARARGS,
     "decode(model, segments, cut, rows, columns, level, form, reference or None, its level): values, and how many\n"
     "flags and residuals of each layer were read."},
    {"rebuild", core_rebuild, METH_VARARGS,
     "rebuild(places, data, piece, wanted): the pieces at the wanted places, from those of `piece` bytes at `places`."},
    {"shrink", core_shrink, METH_VARARGS, "shrink(pixels, width, height, small_width, small_height): pixels."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_core", "Heliograph's integer core in C.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__core(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddIntConstant(module, "INTERFACE", 7) < 0) Py_CLEAR(module);
    if (module == NULL) return NULL;
    corrupt_error = PyErr_NewException("heliograph._core.CorruptError", PyExc_ValueError, NULL);
    if (corrupt_error == NULL || PyModule_AddObjectRef(module, "CorruptError", corrupt_error) < 0) Py_CLEAR(module);
    return module;
}
