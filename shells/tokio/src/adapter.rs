//! What goes to and comes from a socket, and the adapter of a WebSocket crate.

use headcount::{CloseReason, Message};

/// A frame that a socket is to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A data message.
    Data(Message),
    /// An empty ping.
    Ping,
    /// The close frame, with a text that fits it: the last frame of a connection.
    Close(u16, String),
}

/// What a socket has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A whole data message.
    Data(Message),
    /// A ping, which the WebSocket crate answers.
    Ping,
    /// A pong.
    Pong,
    /// The close frame of the peer. The WebSocket crate echoes it, unless it is an echo itself.
    Close,
}

/// The adapter of a WebSocket crate, whose socket is a `Stream` and a `Sink` of its frames. Implement it
/// for a type of your own, and hand that to [`Place::serve`](crate::Place::serve). Those of axum and of
/// tokio-tungstenite are here, a feature each.
pub trait Adapter {
    /// What a socket reads and writes.
    type Frame;

    /// What reading and writing fail with.
    type Error;

    /// A frame to write, as the crate has it.
    fn outgoing(&self, frame: &Outgoing) -> Self::Frame;

    /// What was read. `None`: it says nothing, and is passed over.
    fn incoming(&self, frame: Self::Frame) -> Option<Incoming>;

    /// What the peer has done wrong, so that the connection is closed for it. `None`: the socket is broken,
    /// or its end came without a close handshake.
    fn fault(&self, error: &Self::Error) -> Option<CloseReason>;
}

/// Both crates have messages and errors of the same variants: axum's are those of a tungstenite of its own.
#[cfg(any(feature = "axum", feature = "tungstenite"))]
macro_rules! adapter {
    ($(#[$doc:meta])* $name:ident, $messages:path, $error:ty, $tungstenite:ident, $cause:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        const _: () = {
            use $messages::{CloseFrame, Message as Frame};
            use $tungstenite::{Error, error::ProtocolError};

            impl Adapter for $name {
                type Frame = Frame;
                type Error = $error;

                fn outgoing(&self, frame: &Outgoing) -> Frame {
                    match frame {
                        // Text is UTF-8 by its type; if it were not, it would go out as binary.
                        Outgoing::Data(data) => {
                            match data.is_text().then(|| data.payload().clone().try_into()) {
                                Some(Ok(text)) => Frame::Text(text),
                                _ => Frame::Binary(data.payload().clone()),
                            }
                        }
                        Outgoing::Ping => Frame::Ping(bytes::Bytes::new()),
                        Outgoing::Close(code, text) => {
                            let (code, reason) = ((*code).into(), text.as_str().into());
                            Frame::Close(Some(CloseFrame { code, reason }))
                        }
                    }
                }

                fn incoming(&self, frame: Frame) -> Option<Incoming> {
                    Some(match frame {
                        // Copied: what was read is a slice of the socket's buffer, and would keep all of it
                        // alive where the message is kept, in a log for example.
                        Frame::Text(text) => Incoming::Data(Message::text(text.as_str())),
                        Frame::Binary(payload) => Incoming::Data(Message::binary(payload.to_vec())),
                        Frame::Ping(_) => Incoming::Ping,
                        Frame::Pong(_) => Incoming::Pong,
                        Frame::Close(_) => Incoming::Close,
                        #[allow(unreachable_patterns)] // One of them has frames, too, which are not read.
                        _ => return None,
                    })
                }

                fn fault(&self, error: &$error) -> Option<CloseReason> {
                    let cause: Option<&Error> = $cause(error);
                    match cause? {
                        // A message that is too large is one before it is whole.
                        Error::Capacity(_) => Some(CloseReason::MessageTooBig),
                        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
                        Error::Protocol(_) => Some(CloseReason::ProtocolError),
                        Error::Utf8(_) => Some(CloseReason::InvalidPayload),
                        _ => None,
                    }
                }
            }
        };
    };
}

#[cfg(feature = "tungstenite")]
adapter! {
    /// The adapter of tokio-tungstenite, 0.30.
    Tungstenite, tungstenite::protocol, tungstenite::Error, tungstenite, Some
}

#[cfg(feature = "axum")]
adapter! {
    /// The adapter of axum, 0.8.
    Axum, axum::extract::ws, axum::Error, tungstenite_of_axum, |error| {
        std::error::Error::source(error)?.downcast_ref()
    }
}
