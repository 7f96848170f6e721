// loop.call_soon(), which asyncio calls for every step of every task, without its five Python
// frames.
#pragma once
#include "ref.hpp"

namespace millrace::python {

// What asyncio's own call_soon() does, as a bound function of the loop: makes a handle, puts it
// behind the others in the loop's own queue, returns it. Order, contexts, cancelling and the
// exception handler are as documented; in debug mode the loop's own function is called. Null and an
// exception raised where the loop is not as expected.
PyObject* make_call_soon(PyObject* loop);

// The classes of what it returns, and of what it is bound to.
PyTypeObject* make_handle_type();
PyTypeObject* make_call_soon_type();

}  // namespace millrace::python
