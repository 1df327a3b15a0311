//! The table of behaviours.

mod ends;
mod limits;
mod slow;
mod streams;
mod talk;

/// A behaviour: the name of its test, and what a shell does.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// The name of its test.
    pub name: &'static str,
    /// What every shell does.
    pub says: &'static str,
}

macro_rules! table {
    ($d:tt $($module:ident { $($name:ident: $says:literal,)* })*) => {
        /// All behaviours.
        pub const BEHAVIOURS: &[Behaviour] = &[
            $($(Behaviour { name: stringify!($name), says: $says },)*)*
        ];

        /// Makes a test of each behaviour, for a type that is a [`Shell`](crate::Shell).
        #[macro_export]
        macro_rules! behaviours {
            ($d shell:ty) => {
                $($(
                    #[doc = $says]
                    #[test]
                    fn $name() {
                        $d crate::$name::<$d shell>();
                    }
                )*)*
            };
        }

        $($(
            #[doc = $says]
            #[doc(hidden)]
            pub fn $name<S: crate::Shell>() {
                $module::$name::<S>();
            }
        )*)*
    };
}

table! { $
    talk {
        replies_come_first_and_in_order: "What the application replies comes in the order of its calls, the replies to an admission first.",
        binary_stays_binary: "A binary message is answered by a binary one, byte for byte.",
        fragments_are_one_message: "A message in fragments, with control frames between them, is one message.",
        a_ping_is_answered: "A ping is answered by a pong with its payload.",
        a_pending_client_names_itself: "A client without credentials is upgraded, and admitted by its first message.",
        bad_credentials_close: "A pending client whose first message names no user is closed with 4500.",
    }
    streams {
        a_room_has_one_order: "All members of a room read the same messages in the same order.",
        the_sender_can_be_left_out: "A message that leaves out its sender reaches all others.",
        a_crowd_gets_everything: "A hundred connections get each of a hundred messages, once and in order.",
        each_reads_its_own_dialect: "Connections that read a stream in different dialects each get the frame of their own.",
        a_resume_has_what_was_missed: "A client that comes back with a position gets what followed it, once, and nothing twice.",
        what_is_lost_is_told: "A client whose position is not kept any more is told which entries are lost.",
    }
    slow {
        the_input_of_a_slow_reader_waits: "A client that does not read what it asks for is not read either, and loses nothing.",
        a_stuck_reader_is_closed_alone: "A client that never reads is closed with slow_consumer, and others get everything meanwhile.",
        a_reader_that_stops_within_a_message_is_closed: "A client that stops reading within one long message is closed with slow_consumer: what was begun is not flushed.",
        a_slow_reader_catches_up: "A client that stalls for less than the deadline reads everything that its stream keeps, in order.",
        the_goodbye_of_a_slow_reader_is_answered: "A client that says goodbye while it is behind reads whole frames in order up to the echo, and then the end.",
    }
    limits {
        the_cap_of_a_user_is_exact: "Over the cap of a user's connections a newcomer is refused with 429 and Retry-After, and admitted when one has left.",
        a_full_house_is_503: "Over the cap of all connections a newcomer is refused with 503 and Retry-After.",
        a_full_waiting_room_is_503: "Over limits.pending a newcomer without credentials is refused with 503 and Retry-After.",
        an_evicted_connection_is_told: "A connection that makes room for a newer one of its user is closed with evicted.",
        a_message_that_is_too_large_closes: "A message over limits.message_bytes is closed with 1009.",
        a_flood_closes: "A client that sends far more than limits.message_rate is closed with rate_limited.",
        a_silent_client_is_pinged_and_closed: "A client that answers no ping is closed with pong_timeout.",
        a_pong_that_waits_counts: "A pong that came in time counts, though the server was busy until after the deadline.",
        a_client_that_answers_pings_stays: "A client that says nothing but answers pings stays.",
    }
    ends {
        a_goodbye_is_answered: "A close frame of the client is echoed, the socket ends, and the reason is peer_closed.",
        the_code_of_a_close_is_echoed: "The code of the client's close frame comes back.",
        a_client_that_vanishes_is_gone: "A socket that is reset is cleaned up at once, as peer_gone.",
        an_end_without_a_close_is_gone: "A socket that ends without a close frame is cleaned up at once, as peer_gone.",
        a_half_request_leaves_nothing: "A client that goes away within its request, or right behind it, leaves no place taken.",
        a_close_says_why: "A close of the application reaches the client with its own code and text.",
        text_that_is_not_utf8_closes: "A text message that is not UTF-8 is closed with 1007.",
        a_frame_without_a_mask_closes: "A frame without a mask is closed with 1002.",
        a_client_that_ignores_a_close_is_dropped: "A client that does not answer a close frame is dropped after session.close_handshake.",
        a_drain_tells_everyone_and_ends: "A drain is announced, newcomers get 503 meanwhile, all are closed with 1012, and the server ends.",
        nothing_is_lost_count_of: "After connections that ended in every way, opened is live plus closed, and the registry agrees with itself.",
    }
}
