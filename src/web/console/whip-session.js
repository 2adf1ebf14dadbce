/**
 * One session of WHIP (publishing, RFC 9725) or WHEP (playing), without a library: POST sends the offer and returns the
 * answer, DELETE ends the session.
 */
export class WhipSession extends EventTarget {
  /** @type {RTCPeerConnection} */
  #connection;
  /** @type {string} URL of the session, for DELETE. */
  #location;
  /** @type {Record<string, string>} */
  #headers;

  /**
   * @param {RTCPeerConnection} connection
   * @param {string} location
   * @param {Record<string, string>} headers
   */
  constructor(connection, location, headers) {
    super();
    this.#connection = connection;
    this.#location = location;
    this.#headers = headers;
    connection.addEventListener('connectionstatechange', () => this.dispatchEvent(new Event('change')));
  }

  /**
   * Sends the offer of a connection that has its tracks. Candidates are not awaited: the gateway's address is known,
   * and it learns the browser's address from the first packet.
   *
   * @param {string} endpoint `/whip/NAME` or `/whep/NAME` of a gateway
   * @param {RTCPeerConnection} connection
   * @param {string} [apiKey]
   * @returns {Promise<WhipSession>}
   * @throws {Error} with the gateway's message
   */
  static async open(endpoint, connection, apiKey) {
    /** @type {Record<string, string>} */
    const headers = apiKey ? { authorization: `Bearer ${apiKey}` } : {};
    await connection.setLocalDescription();
    const body = connection.localDescription?.sdp ?? '';
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/sdp' },
      body,
    });
    const answer = await response.text();
    if (response.status !== 201) throw new Error(reasonOf(answer) ?? `The gateway answered ${response.status}.`);
    const location = new URL(response.headers.get('location') ?? '', response.url).href;
    const session = new WhipSession(connection, location, headers);
    await connection.setRemoteDescription({ type: 'answer', sdp: answer });
    session.#watchTransport();
    return session;
  }

  /**
   * `closed` when the gateway has ended the session. It closes DTLS then, which `connectionState` reports as a lost
   * network, 15 s later.
   */
  get state() {
    return this.#transport?.state === 'closed' ? 'closed' : this.#connection.connectionState;
  }

  get #transport() {
    return this.#connection.getTransceivers()[0]?.sender.transport;
  }

  #watchTransport() {
    this.#transport?.addEventListener('statechange', () => this.dispatchEvent(new Event('change')));
  }

  /**
   * Ends the session at the gateway, and with it the stream and its pushes. Works while the page is being closed, too.
   */
  async close() {
    await fetch(this.#location, { method: 'DELETE', headers: this.#headers, keepalive: true }).catch(() => undefined);
    this.#connection.close();
  }
}

/**
 * @param {string} answer
 * @returns {string | undefined}
 */
function reasonOf(answer) {
  try {
    return JSON.parse(answer).message;
  } catch {
    return undefined;
  }
}
