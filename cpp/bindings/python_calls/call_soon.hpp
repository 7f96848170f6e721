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

// False and an exception raised: no memory.
bool prepare_call_soon();

}  // namespace millrace::python
