//! What can be made to go wrong.

use super::{
    Op,
    http::{Ending, Response},
};

/// A way to fail.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Another answer than the true one.
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// The connection ends without an answer, and nothing was done.
    HangUp,
    /// The connection ends without an answer, and what was asked for was done.
    HangUpAfterwards,
    /// No answer ever comes.
    Silence,
    /// The connection ends in the middle of the body.
    CutBody,
    /// The body stops in its middle, and the connection stays.
    StallBody,
    /// Another part than the one that was asked for.
    WrongPart,
    /// The part that was asked for, and a byte more.
    LongBody,
    /// The whole file in place of the part.
    Whole(Vec<u8>),
}

impl Fault {
    /// An answer with a JSON body.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Answer {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_owned(),
        }
    }

    /// What comes in place of the answer that `answer` would give.
    pub(super) fn apply(self, answer: impl FnOnce() -> Response) -> Response {
        match self {
            Self::Answer {
                status,
                headers,
                body,
            } => headers.into_iter().fold(
                Response::new(status).with_body(body.into_bytes()),
                |response, (name, value)| response.with_header(name, &value),
            ),
            Self::HangUp => Response::new(500).ending(Ending::NoAnswer),
            Self::HangUpAfterwards => {
                answer();
                Response::new(500).ending(Ending::NoAnswer)
            }
            Self::Silence => Response::new(500).ending(Ending::Silence),
            Self::CutBody => answer().ending(Ending::CutBody),
            Self::StallBody => answer().ending(Ending::StallBody),
            Self::WrongPart => {
                let mut response = answer();
                for (name, value) in &mut response.headers {
                    if name == "content-range" {
                        "bytes 1-1/2".clone_into(value);
                    }
                }
                response
            }
            Self::LongBody => {
                let response = answer();
                let mut content = response.content().to_vec();
                content.push(0);
                response.with_body(content)
            }
            Self::Whole(bytes) => Response::new(200).with_body(bytes),
        }
    }
}

/// A fault whose turn comes.
#[derive(Debug)]
pub(super) struct Injection {
    pub(super) op: Op,
    pub(super) skip: u32,
    pub(super) times: u32,
    pub(super) fault: Fault,
}

/// The fault that a request about `op` meets now.
pub(super) fn next(injections: &mut [Injection], op: Op) -> Option<Fault> {
    let injection = injections
        .iter_mut()
        .find(|injection| injection.op == op && injection.times > 0)?;
    if injection.skip > 0 {
        injection.skip -= 1;
        return None;
    }
    injection.times -= 1;
    Some(injection.fault.clone())
}
