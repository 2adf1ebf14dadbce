import { serve } from '../../bench/child-process.ts';
import { RtpPublisher, type RtpPublisherOptions } from './rtp-publisher.ts';

/** RTP publishers in a process of their own, because a process that has used node-datachannel does not end by itself. */

const publishers = new Map<string, RtpPublisher>();

const requests = {
  async start(options: RtpPublisherOptions): Promise<void> {
    publishers.set(options.stream, await RtpPublisher.start(options));
  },
  /** @param packet with its payload in base64 */
  send(packet: { readonly stream: string; readonly payload: string; readonly timestamp: number }): void {
    publishers.get(packet.stream)?.send(Buffer.from(packet.payload, 'base64'), packet.timestamp);
  },
  stop(stream: string): void {
    publishers.get(stream)?.stop();
    publishers.delete(stream);
  },
};
export type RtpPublisherRequests = typeof requests;
serve(requests);
