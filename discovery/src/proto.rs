//! The machines of discovery: they decide, and own no socket, clock, task or lock.
