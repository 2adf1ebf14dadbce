import { inBackground } from '../../runtime/in-background.ts';
import type { CallVideoCodec } from './codecs.ts';
import { beginsKeyFrame } from './key-frame-packet.ts';
import { KeyFrameRequester, type Feedback, type KeyFrameRequest } from './key-frame-requests.ts';
import { writeFir, writePli } from './rtcp.ts';

export interface VideoRequestsOptions {
  readonly feedback: Feedback | undefined;
  readonly codec: CallVideoCodec;
  readonly now: () => number;
  readonly sendFeedback: (part: Buffer) => void;
  readonly sendMediaControl: () => Promise<number>;
  /** Of the gateway's reports, and of the peer's video once it is known. */
  readonly ssrc: number;
  readonly remoteSsrc: () => number | undefined;
}

/** Answers to INFO that show that the peer does not know the request. */
const UNKNOWN = new Set([405, 415, 488, 501]);

/** Carries out the requests for key frames of one line. */
export class VideoRequests {
  readonly #options: VideoRequestsOptions;
  readonly #requester: KeyFrameRequester;
  #firs = 0;
  /** A request that could not be sent yet: nothing is known of the peer. */
  #isDue = false;

  constructor(options: VideoRequestsOptions) {
    this.#options = options;
    this.#requester = new KeyFrameRequester(options.feedback);
  }

  request(): void {
    if (this.#options.remoteSsrc() === undefined) this.#isDue = true;
    this.#send(this.#requester.request(this.#options.now()));
  }

  /** A packet of the peer has come. */
  take(payload: Buffer): void {
    if (beginsKeyFrame(this.#options.codec, payload)) {
      this.#isDue = false;
      this.#requester.arrived();
    } else if (this.#isDue) {
      this.#isDue = false;
      this.#send(this.#requester.request(this.#options.now()));
    }
  }

  poll(): void {
    this.#send(this.#requester.poll(this.#options.now()));
  }

  #send(requests: readonly KeyFrameRequest[]): void {
    const { ssrc, remoteSsrc, sendFeedback, sendMediaControl } = this.#options;
    const remote = remoteSsrc();
    for (const request of requests) {
      if (request === 'info') {
        inBackground(
          sendMediaControl().then((status) => {
            if (UNKNOWN.has(status)) this.#requester.refuseInfo();
          }),
        );
      } else if (remote !== undefined)
        sendFeedback(request === 'pli' ? writePli(ssrc, remote) : writeFir(ssrc, remote, ++this.#firs));
    }
  }
}
