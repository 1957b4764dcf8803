use crate::fragment::Reassembler;

/// What an [`Endpoint`](super::Endpoint) joins fragments with: a [`Reassembler`], if it has one. With `()` it never
/// has, and nothing that joins fragments is linked.
pub trait Reassembly<'m> {
    /// The reassembler.
    fn get(&self) -> Option<&Reassembler<'m>>;

    /// The reassembler, to add fragments.
    fn get_mut(&mut self) -> Option<&mut Reassembler<'m>>;
}

impl<'m> Reassembly<'m> for Option<Reassembler<'m>> {
    #[inline]
    fn get(&self) -> Option<&Reassembler<'m>> {
        self.as_ref()
    }

    #[inline]
    fn get_mut(&mut self) -> Option<&mut Reassembler<'m>> {
        self.as_mut()
    }
}

impl<'m> Reassembly<'m> for () {
    #[inline]
    fn get(&self) -> Option<&Reassembler<'m>> {
        None
    }

    #[inline]
    fn get_mut(&mut self) -> Option<&mut Reassembler<'m>> {
        None
    }
}
