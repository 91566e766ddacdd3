use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::listener::{ListenOptions, Listener};

#[derive(Default)]
struct Conditions(Mutex<Option<&'static str>>);

impl Readiness for Conditions {
    fn conditions(&self) -> Vec<(&'static str, Result<(), String>)> {
        let failing = *self.0.lock().expect("not poisoned");
        vec![("bundle", failing.map_or(Ok(()), |why| Err(why.to_owned()))), ("feed", Ok(()))]
    }
}

struct Door {
    address: SocketAddr,
    conditions: Arc<Conditions>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn open_door() -> Door {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let address = listener.local_addr();
    let incoming = listener.incoming(ListenOptions::new("http", None, 8)).expect("within a runtime");
    let conditions = Arc::new(Conditions::default());
    let metrics = Arc::new(Metrics::new("test").expect("they can be made"));
    let router = router(Arc::clone(&conditions) as Arc<dyn Readiness>, metrics);
    let (end, ended) = oneshot::channel();
    let task = tokio::spawn(serve(incoming, router, async { drop(ended.await) }));
    Door { address, conditions, end, task }
}

/// The status line and the body of an answer.
async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.expect("it connects");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("it is read");
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole answer");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

#[tokio::test]
async fn ready_only_while_every_condition_holds() {
    let door = open_door();
    assert_eq!(get(door.address, "/readyz").await.0, "HTTP/1.1 200 OK");
    *door.conditions.0.lock().expect("not poisoned") = Some("no bundle is active");
    let (status, body) = get(door.address, "/readyz").await;
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    let body: serde_json::Value = serde_json::from_str(&body).expect("it is JSON");
    assert_eq!(body["ready"], false);
    assert_eq!(body["conditions"][0]["message"], "no bundle is active");
    assert_eq!(body["conditions"][1]["ok"], true);
    assert_eq!(get(door.address, "/livez").await.0, "HTTP/1.1 200 OK", "alive all the same");
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let door = open_door();
    let (status, body) = get(door.address, "/metrics").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body.contains("# TYPE chaperone_decisions_total counter"), "{body}");
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let door = open_door();
    assert_eq!(get(door.address, "/").await.0, "HTTP/1.1 404 Not Found");
}

#[tokio::test]
async fn door_closes_when_it_is_told_to() {
    let door = open_door();
    let idle = TcpStream::connect(door.address).await.expect("it connects");
    door.end.send(()).expect("it listens");
    door.task.await.expect("it ends, though a connection is idle");
    drop(idle);
}
