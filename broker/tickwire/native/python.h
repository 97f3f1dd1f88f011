/* What is used of Python's stable interface (PEP 384): no headers of it are needed. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

typedef struct PyObject PyObject;

extern PyObject *PyBytes_FromStringAndSize(const char *, ssize_t);
extern char *PyBytes_AsString(PyObject *);
extern ssize_t PyBytes_Size(PyObject *);
extern const char *PyUnicode_AsUTF8AndSize(PyObject *, ssize_t *);
extern PyObject *PyUnicode_InternFromString(const char *);
extern unsigned long long PyLong_AsUnsignedLongLong(PyObject *);

extern PyObject *PyList_New(ssize_t);
extern int PyList_Append(PyObject *, PyObject *);
extern PyObject *PyList_GetItem(PyObject *, ssize_t); /* not a new reference */
extern ssize_t PyList_Size(PyObject *);
extern PyObject *PyDict_GetItemWithError(PyObject *, PyObject *); /* not a new reference */

extern PyObject *PyType_GenericAlloc(PyObject *, ssize_t);
extern void PyObject_GC_UnTrack(void *);
extern int PyObject_SetAttr(PyObject *, PyObject *, PyObject *);
extern PyObject *PyErr_Occurred(void); /* not a new reference */
extern void Py_DecRef(PyObject *);     /* of NULL too */
