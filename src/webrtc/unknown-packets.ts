import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { types } from 'mediasoup';
import { sharedRun } from '../runtime/async.ts';

/** A packet that a worker has dropped because no producer takes it. */
export interface UnknownPacket {
  readonly ssrc: number;
  readonly payloadType: number;
}

/** Milliseconds in which a publisher sends packets of each track. */
const SURVEY_MS = 300;
/** A busy machine may show the first line late: a survey that has found nothing lasts longer. */
const MAX_LOOKS = 4;
const MAX_LINES = 64;
/** mediasoup's warning, with the worker's process before it. It has the tag `rtp`, and does not name the transport. */
const LINE = /^\[pid:(\d+)\].*no suitable Producer for received RTP packet \[ssrc:(\d{1,10}), payloadType:(\d{1,3})\]/;

const lines = new EventEmitter<{ packet: [pid: number, packet: UnknownPacket] }>().setMaxListeners(0);

/** @returns whether a line of mediasoup's log is about an unknown packet, and need not be logged */
export function takeUnknownPacket(line: string): boolean {
  const [, pid, ssrc, payloadType] = LINE.exec(line) ?? [];
  if (pid === undefined) return false;
  lines.emit('packet', Number(pid), { ssrc: Number(ssrc), payloadType: Number(payloadType) });
  return true;
}

/**
 * Finds out which packets a worker drops, of all its sessions: mediasoup tells it only in its log, which is switched on for a
 * moment.
 */
export class UnknownPackets {
  readonly #worker: Pick<types.Worker, 'pid' | 'updateSettings'>;
  readonly #wait: (ms: number) => Promise<unknown>;
  /** One packet of each source. Calls at the same time share one look. */
  readonly survey = sharedRun(() => this.#survey());

  constructor(worker: Pick<types.Worker, 'pid' | 'updateSettings'>, wait: (ms: number) => Promise<unknown> = sleep) {
    this.#worker = worker;
    this.#wait = wait;
  }

  async #survey(): Promise<readonly UnknownPacket[]> {
    const found = new Map<number, UnknownPacket>();
    const enough = Promise.withResolvers<void>();
    let count = 0;
    const onPacket = (pid: number, packet: UnknownPacket): void => {
      if (pid !== this.#worker.pid) return;
      found.set(packet.ssrc, packet);
      if (++count >= MAX_LINES) enough.resolve();
    };
    lines.on('packet', onPacket);
    try {
      await this.#worker.updateSettings({ logTags: ['rtp'] });
      for (let looks = 0; looks < MAX_LOOKS && found.size === 0; looks++)
        await Promise.race([this.#wait(SURVEY_MS), enough.promise]);
    } finally {
      lines.off('packet', onPacket);
      await this.#worker.updateSettings({ logTags: [] });
    }
    return [...found.values()];
  }
}
