//! Connections that end at the deadline.
//!
//! Invariant: no read and no write on a connection lasts longer than the deadline leaves, whatever the request's own
//! limits are. A connection serves many requests, of a restore and then of a save: the deadline is that of what was begun
//! last.

use std::sync::{Arc, Mutex, PoisonError};

use ureq::{
    Timeout,
    unversioned::transport::{
        Buffers, ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, RustlsConnector,
        TcpConnector, Transport, time,
    },
};

use crate::deadline::Deadline;

/// The deadline of what a store is doing. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct CurrentDeadline(Arc<Mutex<Deadline>>);

impl CurrentDeadline {
    pub(super) fn never() -> Self {
        Self(Arc::new(Mutex::new(Deadline::never())))
    }

    pub(super) fn set(&self, deadline: Deadline) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    pub(super) fn get(&self) -> Deadline {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects through a proxy if there is one, over TCP, by TLS where the URL asks for it, and never beyond `deadline`.
pub(super) fn connector(deadline: CurrentDeadline) -> impl Connector {
    ().chain(ConnectProxyConnector::default())
        .chain(TcpConnector::default())
        .chain(DeadlineConnector(deadline))
        .chain(RustlsConnector::default())
}

#[derive(Debug)]
struct DeadlineConnector(CurrentDeadline);

impl<In: Transport> Connector<In> for DeadlineConnector {
    type Out = DeadlineTransport<In>;

    fn connect(
        &self,
        _details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(|inner| DeadlineTransport {
            inner,
            deadline: self.0.clone(),
        }))
    }
}

#[derive(Debug)]
struct DeadlineTransport<In> {
    inner: In,
    deadline: CurrentDeadline,
}

impl<In> DeadlineTransport<In> {
    fn shortened(&self, mut timeout: NextTimeout) -> Result<NextTimeout, ureq::Error> {
        let left = self.deadline.get().left();
        if left.is_zero() {
            return Err(ureq::Error::Timeout(Timeout::Global));
        }
        if left < *timeout.after {
            timeout.after = time::Duration::Exact(left);
            timeout.reason = Timeout::Global;
        }
        Ok(timeout)
    }
}

impl<In: Transport> Transport for DeadlineTransport<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let timeout = self.shortened(timeout)?;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let timeout = self.shortened(timeout)?;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
