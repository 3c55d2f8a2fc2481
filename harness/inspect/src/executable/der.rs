//! DER, as far as a signature needs it: one element after the other, of definite length.

/// `SEQUENCE`.
pub(super) const SEQUENCE: u8 = 0x30;
/// `SET`.
pub(super) const SET: u8 = 0x31;
/// `OBJECT IDENTIFIER`.
pub(super) const OBJECT_ID: u8 = 0x06;
/// `OCTET STRING`.
pub(super) const OCTETS: u8 = 0x04;
/// `INTEGER`.
pub(super) const INTEGER: u8 = 0x02;
/// `[0]`, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;

/// What is left to read.
#[derive(Clone, Copy)]
pub(super) struct Der<'b>(pub(super) &'b [u8]);

/// One element.
#[derive(Clone, Copy)]
pub(super) struct Element<'b> {
    pub(super) tag: u8,
    pub(super) content: &'b [u8],
    /// With tag and length.
    pub(super) whole: &'b [u8],
}

impl<'b> Der<'b> {
    /// The next element; none at the end, or where it is no DER.
    pub(super) fn next(&mut self) -> Option<Element<'b>> {
        let (&tag, &first) = (self.0.first()?, self.0.get(1)?);
        let (header, length) = match first {
            0..=0x7f => (2, usize::from(first)),
            0x81..=0x84 => {
                let count = usize::from(first & 0x7f);
                let digits = self.0.get(2..2 + count)?;
                (2 + count, digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)))
            }
            _ => return None,
        };
        let end = header.checked_add(length)?;
        let whole = self.0.get(..end)?;
        self.0 = &self.0[end..];
        Some(Element { tag, content: &whole[header..], whole })
    }

    /// The next element, which must have this tag: its content, to read on.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Der<'b>> {
        self.next().filter(|own| own.tag == tag).map(|own| Der(own.content))
    }

    /// The content of the next element, which must have this tag.
    pub(super) fn content(&mut self, tag: u8) -> Option<&'b [u8]> {
        self.enter(tag).map(|own| own.0)
    }
}
