//! As much of HTTP/1.1 as clients of the service speak: a thread for each connection, which stays open.

use std::{
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A request, read to its end. Names of headers are in lower case.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name)?;
        Some(&header.1)
    }
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Whole,
    /// The connection is closed instead.
    NoAnswer,
    /// The connection stays, and nothing comes.
    Silence,
    /// Half the body, and the connection is closed.
    CutBody,
    /// Half the body, and the connection stays.
    StallBody,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    ending: Ending,
    content: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Response {
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            ending: Ending::Whole,
            content: Arc::default(),
            range: 0..0,
        }
    }

    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status)
            .with_header("content-type", "application/json")
            .with_body(body.to_string().into_bytes())
    }

    pub(super) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn with_body(self, body: Vec<u8>) -> Self {
        let range = 0..body.len();
        self.with_content(Arc::new(body), range)
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.content[self.range.clone()]
    }

    pub(super) fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// A part of what others read as well.
    pub(super) fn with_content(mut self, content: Arc<Vec<u8>>, range: Range<usize>) -> Self {
        self.content = content;
        self.range = range;
        self
    }
}

type Handler = dyn Fn(&Request) -> Response + Send + Sync;

/// A listener and its connections.
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Server {
    pub(super) fn start(
        address: SocketAddr,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("the port is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::<Shared>::default();
        let handler: Arc<Handler> = Arc::new(handler);
        let server = Self {
            address,
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for connection in listener.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                if let Ok(clone) = connection.try_clone() {
                    shared.lock().push(clone);
                }
                let handler = Arc::clone(&handler);
                // A client that goes away ends its connection, and nothing else.
                thread::spawn(move || drop(serve(&connection, handler.as_ref())));
            }
        });
        server
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection, and closes the port.
    pub(super) fn stop(&self) {
        if self.shared.stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        for connection in self.shared.lock().drain(..) {
            let _gone_already = connection.shutdown(Shutdown::Both);
        }
        // Wakes the thread that listens, which ends then.
        let _refused = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(connection: &TcpStream, handler: &Handler) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(256 << 10, connection);
    while let Some(request) = read_request(&mut reader, connection)? {
        let response = handler(&request);
        let goes_on = write_response(connection, &request.method, &response)?;
        if !goes_on {
            break;
        }
    }
    connection.shutdown(Shutdown::Both)
}

fn read_request(
    reader: &mut BufReader<&TcpStream>,
    mut connection: &TcpStream,
) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(ErrorKind::InvalidData.into());
    };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => break,
        }
    }
    let mut request = Request {
        method,
        target,
        headers,
        body: Vec::new(),
    };
    if request.header("expect").is_some() {
        connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if request.header("transfer-encoding") == Some("chunked") {
        request.body = read_chunks(reader)?;
    } else if let Some(length) = request.header("content-length") {
        let length = length.parse().map_err(io::Error::other)?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        request.body = body;
    }
    Ok(Some(request))
}

fn read_chunks(reader: &mut BufReader<&TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        let before = body.len();
        body.resize(before + size, 0);
        reader.read_exact(&mut body[before..])?;
        reader.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Whether the connection can be used on.
fn write_response(
    mut connection: &TcpStream,
    method: &str,
    response: &Response,
) -> io::Result<bool> {
    let body = response.content();
    if response.ending == Ending::NoAnswer {
        return Ok(false);
    }
    if response.ending == Ending::Silence {
        return wait_for_the_end(connection);
    }
    let mut head = Vec::new();
    write!(head, "HTTP/1.1 {} x\r\n", response.status)?;
    write!(head, "content-length: {}\r\n", body.len())?;
    for (name, value) in &response.headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    head.extend_from_slice(b"\r\n");
    connection.write_all(&head)?;
    if method == "HEAD" {
        return Ok(true);
    }
    match response.ending {
        Ending::CutBody => {
            connection.write_all(&body[..body.len() / 2])?;
            Ok(false)
        }
        Ending::StallBody => {
            connection.write_all(&body[..body.len() / 2])?;
            wait_for_the_end(connection)
        }
        _ => {
            connection.write_all(body)?;
            Ok(true)
        }
    }
}

/// Waits until the client or the server gives up.
fn wait_for_the_end(mut connection: &TcpStream) -> io::Result<bool> {
    let _bytes_of_no_interest = connection.read(&mut [0; 64])?;
    Ok(false)
}
