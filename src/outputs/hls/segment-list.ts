import {
  durationOf,
  mediaPlaylist,
  type PlaylistPart,
  type PlaylistSegment,
  type RenditionReport,
} from './playlist.ts';

export interface ListRules {
  /** Complete segments in the playlist, at least. */
  readonly window: number;
  /** Milliseconds of media in the playlist, at least, as far as there are. 0: {@link window} decides. */
  readonly dvrMs: number;
  readonly targetDurationS: number;
  readonly partTargetMs: number;
}

interface Part extends PlaylistPart {
  readonly bytes: Buffer;
}
interface Segment extends PlaylistSegment {
  readonly parts: PlaylistPart[];
  /** Of each part, while the segment is in memory. */
  data: Buffer[] | undefined;
  size: number;
  complete: boolean;
  /** It is on the disk. */
  stored: boolean;
}

/** A complete segment. */
export interface CompleteSegment {
  readonly msn: number;
  readonly data: readonly Buffer[];
}

/** What a request for media finds. `later`: it will exist if the stream goes on. `stored`: it is on the disk. */
export type Found = readonly Buffer[] | 'later' | 'stored' | undefined;

/** Changes of the list when a segment ends. */
export interface Ended {
  readonly completed: CompleteSegment | undefined;
  /** Sequence numbers of segments that were stored and are not available any more. */
  readonly removed: readonly number[];
}

/** The recent segments of a rendition: the latest in memory, older ones by name. Pure, but for what it holds. */
export class SegmentList {
  readonly #rules: ListRules;
  /** Those in the playlist, and before them those that players may still ask for. */
  #segments: Segment[] = [];
  readonly #inits = new Map<number, Buffer>();
  #init = -1;
  #nextMsn = 0;
  #discontinuities = 0;
  #newRun = false;
  #ended = false;

  /** @param discontinuities of the stream before the list begins */
  constructor(rules: ListRules, discontinuities = 0) {
    this.#rules = rules;
    this.#discontinuities = discontinuities;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** In memory. */
  get bytes(): number {
    return this.#segments.reduce((sum, { data, size }) => (data ? sum + size : sum), 0);
  }

  /** Whether a player can begin: there is a complete segment. */
  get playable(): boolean {
    return this.#segments.some(({ complete }) => complete);
  }

  /** The highest bits per second of the complete segments. */
  get peakBitrate(): number {
    return this.#segments
      .filter((segment) => segment.complete && durationOf(segment) >= 1000)
      .reduce((peak, segment) => Math.max(peak, (segment.size * 8000) / durationOf(segment)), 0);
  }

  /** What follows does not continue what came before. */
  run(init: Buffer): void {
    this.renew(init);
    this.#newRun = true;
  }

  /** The next segment has another initialisation section. */
  renew(init: Buffer): void {
    this.#inits.set(++this.#init, init);
  }

  begin(wallMs: number): void {
    const discontinuity = this.#newRun && this.#nextMsn > 0;
    if (discontinuity) this.#discontinuities++;
    this.#newRun = false;
    const discontinuities = this.#discontinuities;
    const msn = this.#nextMsn++;
    const begun = { msn, wallMs, discontinuity, discontinuities, init: this.#init };
    this.#segments.push({ ...begun, parts: [], data: [], size: 0, complete: false, stored: false });
  }

  add({ bytes, ...part }: Part): void {
    const last = this.#segments.at(-1);
    last?.parts.push(part);
    last?.data?.push(bytes);
    if (last) last.size += bytes.length;
  }

  /** Ends the segment. One without media is taken back. */
  end(): Ended {
    const last = this.#segments.at(-1);
    if (!last || last.complete) return { completed: undefined, removed: [] };
    if (last.parts.length === 0) {
      this.#segments.pop();
      this.#nextMsn--;
      if (last.discontinuity) this.#discontinuities--;
      this.#newRun ||= last.discontinuity;
      return { completed: undefined, removed: [] };
    }
    last.complete = true;
    return { completed: { msn: last.msn, data: last.data! }, removed: this.#trim() };
  }

  /** A segment is on the disk. @returns false: it is not needed any more */
  store(msn: number): boolean {
    const segment = this.#find(msn);
    if (!segment) return false;
    segment.stored = true;
    return true;
  }

  finish(): Ended {
    const ended = this.end();
    this.#ended = true;
    return ended;
  }

  /** The last part; `undefined` before there is one. */
  get lastPart(): { readonly msn: number; readonly part: number } | undefined {
    const last = this.#segments.findLast(({ parts }) => parts.length > 0);
    return last && { msn: last.msn, part: last.parts.length - 1 };
  }

  /** @param skip leaves out what a player that has read the playlist before knows (RFC 8216bis, 6.2.5.1) */
  playlist(skip = false, reports: readonly RenditionReport[] = []): string {
    const { targetDurationS, partTargetMs, dvrMs } = this.#rules;
    const open = this.#segments.at(-1)?.complete === false;
    const listed = this.#listed();
    // A segment that has just begun has nothing to list.
    const segments = open && listed.at(-1)!.parts.length === 0 ? listed.slice(0, -1) : listed;
    const skips = dvrMs === 0 ? 'never' : skip ? 'now' : 'on request';
    return mediaPlaylist({ segments, targetDurationS, partTargetMs, ended: this.#ended, skips, reports });
  }

  /**
   * Whether the playlist has a segment, or a part of it. `beyond`: a player that reads the playlists cannot ask for it.
   */
  has(msn: number, part: number | undefined): boolean | 'beyond' {
    const last = this.#segments.at(-1);
    const lastMsn = last?.msn ?? -1;
    if (msn > lastMsn + 2) return 'beyond';
    const segment = this.#find(msn);
    if (!segment) return msn <= lastMsn;
    if (part === undefined || segment.complete) return segment.complete && this.#hasFollowing(segment, part);
    return segment.parts.length > part;
  }

  /** A part behind the last one of a segment is the first one of the next segment (RFC 8216bis, 6.2.5.2). */
  #hasFollowing({ msn, parts }: Segment, part: number | undefined): boolean {
    if (part === undefined || part < parts.length) return true;
    const next = this.#find(msn + 1);
    return next !== undefined && next.parts.length > 0;
  }

  init(init: number): Buffer | undefined {
    return this.#inits.get(init);
  }

  segment(msn: number): Found {
    const segment = this.#find(msn);
    if (!segment) return undefined;
    if (!segment.complete) return 'later';
    return segment.data ?? 'stored';
  }

  /** Parts are listed, and so needed, only while they are in memory. */
  part(msn: number, index: number): Found {
    const segment = this.#find(msn);
    const bytes = segment?.data?.[index];
    if (bytes) return [bytes];
    const isHinted = segment
      ? !segment.complete && index === segment.parts.length
      : msn === this.#nextMsn && index === 0;
    return isHinted && !this.#ended ? 'later' : undefined;
  }

  #find(msn: number): Segment | undefined {
    const first = this.#segments[0]?.msn ?? 0;
    return this.#segments[msn - first];
  }

  /** What the playlist contains, the segment that is being made included. */
  #listed(): Segment[] {
    const { window, dvrMs } = this.#rules;
    let count = 0;
    let totalMs = 0;
    for (const segment of this.#segments.toReversed()) {
      if (segment.complete && count >= window && totalMs >= dvrMs) break;
      if (!segment.complete) continue;
      count++;
      totalMs += durationOf(segment);
    }
    const open = this.#segments.at(-1)?.complete === false ? 1 : 0;
    return this.#segments.slice(-(count + open));
  }

  /** @returns what was stored and is not available any more */
  #trim(): number[] {
    // A segment stays available for its own duration and that of the playlist (RFC 8216bis, 6.2.2).
    const kept = this.#listed().length * 2 + 1;
    const inMemory = this.#rules.window * 2 + 1;
    for (const segment of this.#segments.slice(0, -inMemory)) if (segment.stored) segment.data = undefined;
    // A disk that is slow or full shortens the window.
    const behind = this.#segments.slice(0, -2 * inMemory).findLastIndex(({ stored }) => !stored) + 1;
    const removed = this.#segments.splice(0, Math.max(this.#segments.length - kept, behind));
    const oldest = this.#segments[0]!.init;
    for (const init of this.#inits.keys()) if (init < oldest) this.#inits.delete(init);
    return removed.filter(({ stored }) => stored).map(({ msn }) => msn);
  }
}
