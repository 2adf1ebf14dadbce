// Tests the worker that MEDIASOUP_WORKER_BIN names: two of its WebRTC transports complete a DTLS handshake with each other,
// one as client and one as server. mediasoup is ICE lite and sends no checks, so this script is the ICE client of both and
// forwards the datagrams between them. Exits with code 0, or with code 1 and a line with the reason.
import { createHmac, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { crc32 } from 'node:zlib';
import mediasoup from 'mediasoup';

const HANDSHAKE_TIMEOUT_MS = 15_000;

// RFC 8489 (STUN) and RFC 8445 (ICE).
const STUN_HEADER_BYTES = 20;
const STUN_MAGIC_COOKIE = 0x2112a442;
const BINDING_REQUEST = 0x0001;
const ATTRIBUTE = {
  username: 0x0006,
  messageIntegrity: 0x0008,
  priority: 0x0024,
  useCandidate: 0x0025,
  fingerprint: 0x8028,
  iceControlling: 0x802a,
};
const MESSAGE_INTEGRITY_BYTES = 24;
const FINGERPRINT_BYTES = 8;
const FINGERPRINT_XOR = 0x5354554e;

function attribute(type, value) {
  const padded = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  padded.writeUInt16BE(type, 0);
  padded.writeUInt16BE(value.length, 2);
  value.copy(padded, 4);
  return padded;
}

/** An ICE check with nomination, signed with the transport's ICE password. */
function bindingRequest({ usernameFragment, password }) {
  const priority = Buffer.alloc(4);
  priority.writeUInt32BE(1);
  const attributes = Buffer.concat([
    attribute(ATTRIBUTE.username, Buffer.from(`${usernameFragment}:prover`)),
    attribute(ATTRIBUTE.priority, priority),
    attribute(ATTRIBUTE.iceControlling, randomBytes(8)),
    attribute(ATTRIBUTE.useCandidate, Buffer.alloc(0)),
  ]);
  const header = Buffer.alloc(STUN_HEADER_BYTES);
  header.writeUInt16BE(BINDING_REQUEST, 0);
  header.writeUInt32BE(STUN_MAGIC_COOKIE, 4);
  randomBytes(12).copy(header, 8);
  // Each of the two checksums is calculated with a header whose length ends after its own attribute.
  header.writeUInt16BE(attributes.length + MESSAGE_INTEGRITY_BYTES, 2);
  const integrity = createHmac('sha1', password).update(header).update(attributes).digest();
  header.writeUInt16BE(attributes.length + MESSAGE_INTEGRITY_BYTES + FINGERPRINT_BYTES, 2);
  const signed = Buffer.concat([header, attributes, attribute(ATTRIBUTE.messageIntegrity, integrity)]);
  const fingerprint = Buffer.alloc(4);
  fingerprint.writeUInt32BE((crc32(signed) ^ FINGERPRINT_XOR) >>> 0);
  return Buffer.concat([signed, attribute(ATTRIBUTE.fingerprint, fingerprint)]);
}

/** RFC 7983: STUN starts with 0 to 3, DTLS with 20 to 63. */
const isDtls = (datagram) => datagram[0] >= 20 && datagram[0] <= 63;

async function createSide() {
  const worker = await mediasoup.createWorker({ logLevel: 'error' });
  worker.once('died', (error) => fail(`the worker died: ${error.message}`));
  const router = await worker.createRouter();
  const transport = await router.createWebRtcTransport({ listenInfos: [{ protocol: 'udp', ip: '127.0.0.1' }] });
  const socket = dgram.createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = transport.iceCandidates[0];
  return { worker, transport, socket, send: (datagram) => socket.send(datagram, port, '127.0.0.1') };
}

/** Resolves when the transport has selected this script's socket. DTLS can start then. */
async function completeIce({ transport, send }) {
  const completed = new Promise((resolve) => {
    transport.on('icestatechange', (state) => state === 'completed' && resolve());
  });
  send(bindingRequest(transport.iceParameters));
  await completed;
}

async function completeDtls(transport, remote, role) {
  const connected = new Promise((resolve, reject) => {
    transport.on('dtlsstatechange', (state) => {
      if (state === 'connected') resolve();
      if (state === 'failed' || state === 'closed') reject(new Error(`DTLS ${state}`));
    });
  });
  await transport.connect({ dtlsParameters: { role, fingerprints: remote.dtlsParameters.fingerprints } });
  await connected;
}

function fail(reason) {
  console.error(reason);
  process.exit(1);
}

setTimeout(() => fail('no DTLS handshake in time'), HANDSHAKE_TIMEOUT_MS).unref();
try {
  const [one, two] = await Promise.all([createSide(), createSide()]);
  one.socket.on('message', (datagram) => isDtls(datagram) && two.send(datagram));
  two.socket.on('message', (datagram) => isDtls(datagram) && one.send(datagram));
  await Promise.all([completeIce(one), completeIce(two)]);
  await Promise.all([
    completeDtls(one.transport, two.transport, 'client'),
    completeDtls(two.transport, one.transport, 'server'),
  ]);
  for (const side of [one, two]) {
    side.worker.close();
    side.socket.close();
  }
} catch (error) {
  fail(error.message);
}
