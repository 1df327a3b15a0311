//! The seam to what carries the bytes of a connection.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

/// What a connection is made of; a fake one in tests. It never waits:
/// [`WouldBlock`](io::ErrorKind::WouldBlock) means that the poll tells when to try again.
pub(crate) trait Stream {
    /// Reads what has come in; 0: the peer sends nothing more.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Takes as many bytes of the slices as there is room for, and says how many. No slices: it only goes on
    /// with what is [pending](Self::is_pending).
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Whether it keeps bytes that it has taken and that the kernel has not, as a stream does that encrypts.
    fn is_pending(&self) -> bool;

    /// Tells the peer that nothing more will come.
    fn shutdown_write(&mut self) -> io::Result<()>;
}

impl Stream for mio::net::TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [only] => Write::write(self, only),
            several => self.write_vectored(several),
        }
    }

    fn is_pending(&self) -> bool {
        false
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}
