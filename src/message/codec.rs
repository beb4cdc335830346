//! Frames: one JSON object a line. Several may arrive in one read, one may take many.

/// The memory that a codec keeps between lines, in bytes.
const KEPT_BYTES: usize = 64 * 1024;

/// Splits a byte stream into lines, each at most so long.
#[derive(Debug)]
pub struct Codec {
    buffer: Vec<u8>,
    /// Where the first unread line begins.
    start: usize,
    /// How far from `start` on there is known to be no line's end.
    searched: usize,
    frame_bytes_max: usize,
}

/// A line longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame is longer than the {frame_bytes_max} bytes allowed")]
pub struct FrameTooLong {
    /// The limit, in bytes, the line's end not counted.
    pub frame_bytes_max: usize,
}

impl Codec {
    /// A codec for lines of at most `frame_bytes_max` bytes.
    pub fn new(frame_bytes_max: usize) -> Self {
        Codec { buffer: Vec::new(), start: 0, searched: 0, frame_bytes_max }
    }

    /// From here on lines may be so long.
    pub fn limit(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line without its end, `None` until more was read.
    ///
    /// # Errors
    /// [`FrameTooLong`] as soon as it is certain, without waiting for the line's end.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameTooLong> {
        let unread = &self.buffer[self.start..];
        let end = memchr::memchr(b'\n', &unread[self.searched..]).map(|at| at + self.searched);
        if end.unwrap_or(unread.len()) > self.frame_bytes_max {
            return Err(FrameTooLong { frame_bytes_max: self.frame_bytes_max });
        }
        let Some(end) = end else {
            self.searched = unread.len();
            self.forget_lines();
            return Ok(None);
        };
        let line = self.start..self.start + end;
        self.start = line.end + 1;
        self.searched = 0;
        Ok(Some(&self.buffer[line]))
    }

    /// Drops the lines that were given out, and the memory that a long one took.
    fn forget_lines(&mut self) {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.len() <= KEPT_BYTES {
            self.buffer.shrink_to(KEPT_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(codec: &mut Codec) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| codec.next_frame().unwrap().map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn a_frame_too_long_is_known_before_its_end() {
        let mut codec = Codec::new(4);
        codec.push(b"abcd\nabcd");
        assert_eq!(frames(&mut codec), [b"abcd"]);
        codec.push(b"e");
        assert_eq!(codec.next_frame(), Err(FrameTooLong { frame_bytes_max: 4 }));
    }

    #[test]
    fn the_memory_of_a_long_frame_is_given_back() {
        let mut codec = Codec::new(1 << 20);
        codec.push(&[b"x".repeat(1 << 20), b"\nab".to_vec()].concat());
        assert!(frames(&mut codec)[0].len() == 1 << 20);
        assert!(codec.buffer.capacity() <= KEPT_BYTES, "{} are kept", codec.buffer.capacity());
        codec.push(b"c\n");
        assert_eq!(frames(&mut codec), [b"abc"]);
    }

    proptest! {
        #[test]
        fn lines_arrive_whole_however_they_are_cut(
            lines in prop::collection::vec("[a-z]{0,9}", 0..20),
            cuts in prop::collection::vec(1usize..12, 1..60),
        ) {
            let bytes: Vec<u8> = lines.iter().flat_map(|l| format!("{l}\n").into_bytes()).collect();
            let (mut codec, mut rest, mut got) = (Codec::new(9), bytes.as_slice(), Vec::new());
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                codec.push(now);
                got.extend(frames(&mut codec));
                rest = later;
                if rest.is_empty() { break }
            }
            let sent: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(got, sent);
        }

        /// What a peer sends is kept no longer than until its line is too long: a line within the
        /// limit, and what was read at once behind it.
        #[test]
        fn no_more_is_kept_than_a_line_and_what_was_read_at_once(
            limit in 0usize..200_000,
            pieces in prop::collection::vec((0usize..70_000, any::<bool>()), 1..20),
        ) {
            let (mut codec, mut most) = (Codec::new(limit), 0);
            for (length, has_end) in pieces {
                let mut piece = vec![b'x'; length];
                piece.extend(has_end.then_some(b'\n'));
                most = most.max(piece.len());
                codec.push(&piece);
                prop_assert!(codec.buffer.len() <= limit + most, "{} bytes", codec.buffer.len());
                // A buffer that grows at most doubles.
                let room = KEPT_BYTES.max(2 * (limit + most));
                prop_assert!(codec.buffer.capacity() <= room, "{} kept", codec.buffer.capacity());
                loop {
                    match codec.next_frame() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
            }
        }
    }
}
