import { loadClip, type ClipCodec } from './clip.ts';
import { serve } from './child-process.ts';
import { Publisher, type JanusTarget, type PublisherTarget } from './publisher.ts';

/** The process that holds all publishers of a benchmark. Its arguments: kilobits per second of video, and its codec. */

const clip = await loadClip(Number(process.argv[2]), process.argv[3] as ClipCodec | undefined);
const publishers = new Map<string, Publisher>();

/** One timer for all: wakes when the first of them has something to send. */
function run(): void {
  const nowMs = performance.now();
  let next = nowMs + 20;
  for (const publisher of publishers.values()) next = Math.min(next, publisher.send(nowMs));
  setTimeout(run, Math.max(1, next - performance.now()));
}
run();

const requests = {
  async publish({ whip, ...target }: PublisherTarget & { whip?: boolean }): Promise<{ answeredAt: number }> {
    const publisher = await (whip ? Publisher.overWhip(clip, target) : Publisher.overWcs(clip, target));
    publishers.set(target.name, publisher);
    return { answeredAt: publisher.answeredAt };
  },
  async publishToJanus(target: JanusTarget): Promise<void> {
    publishers.set(target.name, await Publisher.overJanus(clip, target));
  },
  async stop(name: string): Promise<void> {
    const publisher = publishers.get(name);
    publishers.delete(name);
    await publisher?.stop();
  },
  status: (name: string): Publisher['status'] => publishers.get(name)?.status,
  vanish(name: string): void {
    publishers.get(name)?.vanish();
    publishers.delete(name);
  },
};
export type PublisherRequests = typeof requests;
serve(requests);
