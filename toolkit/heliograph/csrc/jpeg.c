/* heliograph._jpeg: reads the codes of one scan of a JPEG file and counts what does not fit; no pixels are made.

   What libjpeg warns of, and Pillow does not tell. Bits are read as ISO 10918-1 has them (F.2, G.1); tables, sizes and
   places come from Python, which has read the markers. Nothing is written but the caller's masks of coefficients that are
   not zero, which refinement needs: 8 bytes for each block. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030A0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    int32_t across, down;   /* blocks in an MCU */
    int32_t columns, rows;  /* blocks of the component, for a scan of it alone */
    int32_t dc, ac;         /* tables, 0 to 3 */
    int32_t stride, offset; /* of its masks, in blocks */
} component;

typedef struct {
    int32_t limit[17]; /* the first code of each length that is none, or 0 */
    int32_t shift[17]; /* from a code to its symbol's place */
    uint16_t quick[256]; /* length and symbol of codes of up to 8 bits, by the next 8 bits */
    const uint8_t *symbols;
} table;

typedef struct {
    const uint8_t *at, *end;
    uint64_t bits; /* the next ones, from the top */
    int count;
    int starved; /* zeros were given, as there was nothing more */
} reader;

typedef struct {
    reader in;
    table dc[4], ac[4];
    int first, last, high, low, is_progressive, bad;
    uint32_t run; /* blocks that end at once */
} state;

static void fill(reader *r) {
    while (r->count <= 56) {
        uint8_t byte;
        if (r->at >= r->end) return;
        byte = r->at[0];
        if (byte == 0xFF) {
            if (r->at + 1 >= r->end || r->at[1] != 0) return; /* a marker */
            r->at++;
        }
        r->at++;
        r->bits |= (uint64_t)byte << (56 - r->count);
        r->count += 8;
    }
}

static uint32_t take(reader *r, int n) { /* 0 to 16 bits */
    uint32_t value;
    if (n == 0) return 0;
    if (r->count < n) fill(r);
    if (r->count < n) {
        r->starved = 1;
        r->count = n; /* zeros */
    }
    value = (uint32_t)(r->bits >> (64 - n));
    r->bits <<= n;
    r->count -= n;
    return value;
}

static int symbol(state *s, const table *t) {
    int length, code;
    if (s->in.count < 16) fill(&s->in);
    code = (int)(s->in.bits >> 48);
    if (t->quick[code >> 8]) {
        take(&s->in, t->quick[code >> 8] >> 8);
        return t->quick[code >> 8] & 255;
    }
    for (length = 9; length <= 16; length++) {
        int prefix = code >> (16 - length);
        if (prefix < t->limit[length]) {
            take(&s->in, length);
            return t->symbols[prefix + t->shift[length]];
        }
    }
    take(&s->in, 16);
    s->bad = 1;
    return 0;
}

static void make(table *t, const uint8_t *given) { /* 16 counts, 256 symbols */
    int32_t code = 0, place = 0;
    int length;
    t->symbols = given + 16;
    for (length = 1; length <= 16; length++) {
        int32_t count = given[length - 1];
        if (place + count > 256) count = 256 - place;
        t->shift[length] = place - code;
        t->limit[length] = count ? code + count : 0;
        if (length <= 8) {
            int32_t n, end = (code + count) << (8 - length);
            for (n = code << (8 - length); n < end && n < 256; n++)
                t->quick[n] = (uint16_t)(length << 8 | t->symbols[place + (n >> (8 - length)) - code]);
        }
        code = (code + count) << 1;
        place += count;
    }
}

static void read_dc(state *s, const table *t) {
    int size = symbol(s, t);
    if (size > 16) {
        s->bad = 1;
        return;
    }
    take(&s->in, size);
}

static void read_ac(state *s, const table *t, uint64_t *mask) {
    int k;
    if (s->is_progressive && s->run) {
        s->run--;
        return;
    }
    for (k = s->first ? s->first : 1; k <= s->last; k++) {
        int both = symbol(s, t), zeros = both >> 4, size = both & 15;
        if (size) {
            k += zeros;
            take(&s->in, size);
            if (k > s->last) {
                s->bad = 1;
                return;
            }
            *mask |= (uint64_t)1 << k;
        } else if (zeros == 15) {
            k += 15;
        } else {
            if (s->is_progressive) s->run = ((uint32_t)1 << zeros) + take(&s->in, zeros) - 1;
            return;
        }
    }
}

static void refine_ac(state *s, const table *t, uint64_t *mask) {
    int k = s->first;
    if (s->run == 0) {
        for (; k <= s->last; k++) {
            int both = symbol(s, t), zeros = both >> 4, size = both & 15;
            if (size > 1) s->bad = 1;
            if (size) {
                take(&s->in, 1);
            } else if (zeros < 15) {
                s->run = ((uint32_t)1 << zeros) + take(&s->in, zeros);
                break;
            }
            for (; k <= s->last; k++) {
                if (*mask >> k & 1)
                    take(&s->in, 1);
                else if (--zeros < 0)
                    break;
            }
            if (size) {
                if (k > s->last) {
                    s->bad = 1;
                    return;
                }
                *mask |= (uint64_t)1 << k;
            }
        }
    }
    if (s->run) {
        for (; k <= s->last; k++)
            if (*mask >> k & 1) take(&s->in, 1);
        s->run--;
    }
}

static void read_block(state *s, const component *c, uint64_t *mask) {
    if (!s->is_progressive) {
        read_dc(s, &s->dc[c->dc]);
        read_ac(s, &s->ac[c->ac], mask);
    } else if (s->first == 0) {
        if (s->high)
            take(&s->in, 1);
        else
            read_dc(s, &s->dc[c->dc]);
    } else if (s->high) {
        refine_ac(s, &s->ac[c->ac], mask);
    } else {
        read_ac(s, &s->ac[c->ac], mask);
    }
}

/* Go on behind the next marker; return how many bytes were left unread before it, or -1 if there is none. */
static int64_t restart(state *s, int number, int *missing) {
    reader *r = &s->in;
    int64_t left = r->starved ? 0 : r->count / 8;
    r->bits = 0;
    r->count = r->starved = 0;
    s->run = 0;
    *missing = 0;
    for (; r->at + 1 < r->end; r->at++) {
        if (r->at[0] == 0xFF && r->at[1] >= 0xD0 && r->at[1] <= 0xD7) {
            *missing = (r->at[1] - 0xD0 - number) & 7;
            r->at += 2;
            return left;
        }
        if (r->at[0] != 0xFF || r->at[1] != 0xFF) left++; /* fill bytes are nobody's */
    }
    return -1;
}

static PyObject *walk(PyObject *self, PyObject *args) {
    const char *data, *given, *shape;
    Py_ssize_t size, given_size, shape_size, masks_size;
    PyObject *masks_object;
    uint8_t *masks;
    int interval, first, last, high, is_progressive, columns, rows;
    int count, n;
    int64_t units, unit = 0, next = 0, lost = 0, spoilt = 0, extra = 0;
    int number = 0, missing = 0;
    component parts[4];
    state s;
    (void)self;
    if (!PyArg_ParseTuple(args, "y#y#y#Oiiiiiii", &data, &size, &given, &given_size, &shape, &shape_size, &masks_object,
                          &columns, &rows, &interval, &first, &last, &high, &is_progressive))
        return NULL;
    count = (int)(shape_size / (Py_ssize_t)sizeof(component));
    if (!PyByteArray_Check(masks_object) || given_size != 8 * 272 || count < 1 || count > 4 ||
        shape_size != count * (Py_ssize_t)sizeof(component) || first < 0 || last > 63 || first > last || columns < 1 ||
        rows < 1 || columns > 8192 || rows > 8192 || interval < 0) {
        PyErr_SetString(PyExc_ValueError, "a size, count or table is out of range");
        return NULL;
    }
    masks = (uint8_t *)PyByteArray_AsString(masks_object);
    masks_size = PyByteArray_Size(masks_object) / 8;
    memcpy(parts, shape, (size_t)shape_size);
    for (n = 0; n < count; n++) {
        const component *c = &parts[n];
        int across = count == 1 ? c->columns : columns * c->across, down = count == 1 ? c->rows : rows * c->down;
        if (c->across < 1 || c->down < 1 || c->across > 4 || c->down > 4 || across < 1 || down < 1 || c->dc < 0 ||
            c->dc > 3 || c->ac < 0 || c->ac > 3 || c->offset < 0 || c->stride < across || c->stride > 32768 ||
            down > 32768 || (int64_t)c->offset + (int64_t)c->stride * down > (int64_t)masks_size) {
            PyErr_SetString(PyExc_ValueError, "a component is out of range");
            return NULL;
        }
    }
    memset(&s, 0, sizeof s);
    for (n = 0; n < 4; n++) {
        make(&s.dc[n], (const uint8_t *)given + 272 * n);
        make(&s.ac[n], (const uint8_t *)given + 272 * (n + 4));
    }
    s.in.at = (const uint8_t *)data;
    s.in.end = s.in.at + size;
    s.first = first;
    s.last = last;
    s.high = high;
    s.is_progressive = is_progressive;
    units = count == 1 ? (int64_t)parts[0].columns * parts[0].rows : (int64_t)columns * rows;
    Py_BEGIN_ALLOW_THREADS
    next = interval;
    while (unit < units) {
        int i, x, y;
        if (interval && unit == next) {
            int64_t left = restart(&s, number, &missing);
            if (left < 0) break;
            extra += left > 16 ? left : 0; /* some encoders fill up */
            number = (number + 1 + missing) & 7;
            lost += (int64_t)missing * interval;
            unit += (int64_t)missing * interval;
            next = unit + interval;
            if (unit >= units) break;
        }
        s.bad = 0;
        for (i = 0; i < count; i++) {
            const component *c = &parts[i];
            int across = count == 1 ? 1 : c->across, down = count == 1 ? 1 : c->down;
            int64_t wide = count == 1 ? c->columns : columns;
            for (y = 0; y < down; y++)
                for (x = 0; x < across; x++) {
                    int64_t row = unit / wide * down + y, column = unit % wide * across + x;
                    uint64_t mask;
                    uint8_t *place = masks + 8 * (c->offset + row * c->stride + column);
                    memcpy(&mask, place, 8);
                    read_block(&s, c, &mask);
                    memcpy(place, &mask, 8);
                }
        }
        if (s.in.starved)
            lost++;
        else
            spoilt += s.bad;
        unit++;
        if (s.in.starved && interval == 0) break;
        if (s.in.starved) { /* what follows in this interval is not there either */
            int64_t stop = next < units ? next : units;
            lost += stop - unit;
            unit = stop;
        }
    }
    if (unit < units) {
        lost += units - unit;
    } else if (!s.in.starved) {
        int64_t left = s.in.count / 8 + (s.in.end - s.in.at);
        extra += left > 16 ? left : 0;
    }
    Py_END_ALLOW_THREADS
    return Py_BuildValue("LLLL", (long long)units, (long long)lost, (long long)spoilt, (long long)extra);
}

static PyMethodDef methods[] = {{"walk", walk, METH_VARARGS,
                                 "walk(data, tables, components, masks, columns, rows, interval, first, last, high,\n"
                                 "is_progressive): MCUs of the scan, those without data, those with codes that are none,\n"
                                 "bytes too many"},
                                {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_jpeg", "The codes of JPEG files, read and counted.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__jpeg(void) { return PyModule_Create(&definition); }
