//! A queue in the caller's memory.
//!
//! smoltcp has one with the same functions, which takes its places by index and by `%`. As far as a linker knows these can
//! panic; here nothing can, so a firmware's tunnel links without a panic.

use smoltcp::storage::{Empty, Full};

/// A queue that holds at most as many elements as it was given.
#[derive(Debug)]
pub(crate) struct RingBuffer<'m, T> {
    elements: &'m mut [T],
    /// The place of the first element.
    first: usize,
    len: usize,
}

#[allow(
    clippy::missing_const_for_fn,
    reason = "as in smoltcp's, so that one can take the place of the other"
)]
impl<'m, T> RingBuffer<'m, T> {
    /// An empty queue.
    pub(crate) fn new(elements: &'m mut [T]) -> Self {
        Self {
            elements,
            first: 0,
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.elements.len()
    }

    /// The place so many behind the first.
    fn place(&self, number: usize) -> usize {
        let place = self.first.wrapping_add(number);
        // Both are at most the length.
        match place.checked_sub(self.elements.len()) {
            Some(wrapped) => wrapped,
            None => place,
        }
    }

    /// Writes a new last element, unless `write` fails. `Err` if there is no room.
    pub(crate) fn enqueue_one_with<R, E>(
        &mut self,
        write: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<Result<R, E>, Full> {
        if self.is_full() {
            return Err(Full);
        }
        let place = self.place(self.len);
        let result = write(self.elements.get_mut(place).ok_or(Full)?);
        self.len = self.len.wrapping_add(usize::from(result.is_ok()));
        Ok(result)
    }

    /// A new last element, to write. `Err` if there is no room.
    pub(crate) fn enqueue_one(&mut self) -> Result<&mut T, Full> {
        if self.is_full() {
            return Err(Full);
        }
        let place = self.place(self.len);
        let element = self.elements.get_mut(place).ok_or(Full)?;
        self.len = self.len.wrapping_add(1);
        Ok(element)
    }

    /// Reads the first element, and removes it unless `read` fails. `Err` if there is none.
    pub(crate) fn dequeue_one_with<R, E>(
        &mut self,
        read: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<Result<R, E>, Empty> {
        if self.is_empty() {
            return Err(Empty);
        }
        let next = self.place(1);
        let result = read(self.elements.get_mut(self.first).ok_or(Empty)?);
        if result.is_ok() {
            self.first = next;
            self.len = self.len.wrapping_sub(1);
        }
        Ok(result)
    }

    /// Removes the first element. `Err` if there is none.
    pub(crate) fn dequeue_one(&mut self) -> Result<&mut T, Empty> {
        if self.is_empty() {
            return Err(Empty);
        }
        let next = self.place(1);
        let element = self.elements.get_mut(self.first).ok_or(Empty)?;
        self.first = next;
        self.len = self.len.wrapping_sub(1);
        Ok(element)
    }
}
