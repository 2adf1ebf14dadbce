import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '../../bench/child-process.ts';
import { RtpPublisher } from './rtp-publisher.ts';

/** Publishers of a cluster, in a process of their own, because a process that has used node-datachannel does not end by itself. */

/** An Opus frame of silence, 20 ms. */
const SILENCE = Buffer.from('f8fffe', 'hex');
const FRAME_MS = 20;
const FRAME_TICKS = 960;
/** Milliseconds between two looks at the session. */
const LOOK_MS = 100;

/** A WHIP publisher that publishes again, through each of the URLs in turn, whenever its session is gone. */
class PersistentPublisher {
  readonly #urls: readonly string[];
  readonly #stream: string;
  readonly #done: Promise<void>;
  #publisher: RtpPublisher | undefined;
  #stopped = false;
  #timestamp = 0;
  published = 0;

  constructor(stream: string, urls: readonly string[]) {
    this.#stream = stream;
    this.#urls = urls;
    this.#done = this.#run();
  }

  get location(): string {
    return this.#publisher?.location ?? '';
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    if (this.location) await fetch(this.#urls[0] + this.location, { method: 'DELETE' }).catch(() => undefined);
    this.#publisher?.stop();
  }

  async #run(): Promise<void> {
    const sending = setInterval(() => {
      this.#timestamp += FRAME_TICKS;
      try {
        this.#publisher?.send(SILENCE, this.#timestamp);
      } catch {
        // It is being closed.
      }
    }, FRAME_MS);
    for (let turn = 0; !this.#stopped; turn++) {
      const httpUrl = this.#urls[turn % this.#urls.length]!;
      try {
        this.#publisher = await RtpPublisher.start({ httpUrl, stream: this.#stream, codec: 'opus' });
      } catch {
        await sleep(LOOK_MS);
        continue;
      }
      this.published++;
      // Browsers learn from ICE that the session is gone.
      while (!this.#stopped && (await this.#lives(httpUrl))) await sleep(LOOK_MS);
      if (this.#stopped) break;
      this.#publisher.stop();
      this.#publisher = undefined;
    }
    clearInterval(sending);
  }

  async #lives(httpUrl: string): Promise<boolean> {
    try {
      return (await fetch(httpUrl + this.location, { signal: AbortSignal.timeout(5000) })).status < 400;
    } catch {
      return false;
    }
  }
}

const publishers = new Map<string, PersistentPublisher>();

const requests = {
  publish({ stream, urls }: { readonly stream: string; readonly urls: readonly string[] }): void {
    publishers.set(stream, new PersistentPublisher(stream, urls));
  },
  state(stream: string): { readonly published: number; readonly location: string } {
    const { published = 0, location = '' } = publishers.get(stream) ?? {};
    return { published, location };
  },
  async unpublish(stream: string): Promise<void> {
    await publishers.get(stream)?.stop();
    publishers.delete(stream);
  },
};
export type PersistentPublisherRequests = typeof requests;
serve(requests);
