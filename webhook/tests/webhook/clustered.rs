//! The webhook with the policies of a cluster. The API server is a stand-in that holds nothing and has no news.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use crate::support::{Server, folder, until};

/// Answers every list with an empty one, and lets every watch wait.
fn api_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            std::thread::spawn(move || drop(answer(connection.unwrap())));
        }
    });
    address
}

fn answer(mut connection: TcpStream) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if String::from_utf8_lossy(&head).contains("watch=true") {
        connection.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        // Until the client goes.
        return connection.read_exact(&mut byte);
    }
    let list = r#"{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;
    let length = list.len();
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{list}"
    )
}

fn server() -> Server {
    let dir = folder();
    let kubeconfig = dir.path().join("kubeconfig");
    let address = api_server();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"http://{address}\"}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick-webhook"));
    command.args(["serve", "--cluster", "--listen", "127.0.0.1:0", "--drain-delay", "0s", "--self-signed"]);
    command.arg("--write-ca").arg(dir.path().join("ca.pem")).env("KUBECONFIG", kubeconfig);
    let server = Server::spawn(dir, command);
    until("it knows that nothing is bound", || server.get("/readyz").status == 200);
    server
}

/// A pack that is made, with this beside its spec.
fn pack(more: &str) -> Vec<u8> {
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"p",
        "kind":{{"group":"bailiwick.dev","version":"v1alpha1","kind":"PolicyPack"}},
        "resource":{{"group":"bailiwick.dev","version":"v1alpha1","resource":"policypacks"}},
        "name":"a-1.0.0","operation":"CREATE","userInfo":{{"username":"admin"}},
        "object":{{"apiVersion":"bailiwick.dev/v1alpha1","kind":"PolicyPack","metadata":{{"name":"a-1.0.0"}},
        "spec":{{"pack":"a","version":"1.0.0"{more}}}}},"oldObject":null,"dryRun":false}}}}"#
    )
    .into_bytes()
}

#[test]
fn large_reviews_of_our_own_objects_are_judged_in_turns() {
    let server = server();
    assert!(server.ask("/own/validate", &pack("")).text().contains(r#""allowed":true"#));
    // As much as is stored, and as much as the API server takes of a client, in the smallest elements.
    for (elements, says) in [(520_000, "unknown field `x`"), (1 << 20, "stores 1572864 at most")] {
        let body = pack(&format!(r#","x":[{}{{}}]"#, "{},".repeat(elements)));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let text = server.ask("/own/validate?timeout=30s", &body).text();
                    // Or there was no time to say so.
                    let why = text.contains(says) || text.contains("in time") || text.contains("within");
                    assert!(why && text.contains(r#""allowed":false"#), "{text:.400}");
                });
            }
        });
    }
    let most = server.most_resident_kib();
    // 280 MB were measured, and 1 GB where two of 3 MiB were judged at one time.
    assert!(most < 512 << 10, "{most} KiB; the chart gives 512 MiB");
}
