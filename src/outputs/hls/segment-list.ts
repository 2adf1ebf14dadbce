import { durationOf, mediaPlaylist, type PlaylistPart, type PlaylistSegment } from './playlist.ts';

export interface ListRules {
  /** Complete segments in the playlist. */
  readonly window: number;
  readonly targetDurationS: number;
  readonly partTargetMs: number;
}

interface Part extends PlaylistPart {
  readonly bytes: Buffer;
}
interface Segment extends PlaylistSegment {
  readonly parts: Part[];
  complete: boolean;
}

/** What a request for media finds. `later`: it will exist if the stream goes on. */
export type Found = readonly Buffer[] | 'later' | undefined;

/** The recent segments of a rendition, in memory. Pure, but for what it holds. */
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

  constructor(rules: ListRules) {
    this.#rules = rules;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { parts }) => parts.reduce((total, { bytes }) => total + bytes.length, sum), 0);
  }

  /** Whether a player can begin: there is a complete segment. */
  get playable(): boolean {
    return this.#segments.some(({ complete }) => complete);
  }

  /** The highest bits per second of the complete segments. */
  get peakBitrate(): number {
    return this.#segments
      .filter((segment) => segment.complete && durationOf(segment) >= 1000)
      .reduce((peak, segment) => {
        const bytes = segment.parts.reduce((sum, part) => sum + part.bytes.length, 0);
        return Math.max(peak, (bytes * 8000) / durationOf(segment));
      }, 0);
  }

  run(init: Buffer): void {
    this.#inits.set(++this.#init, init);
    this.#newRun = true;
  }

  begin(wallMs: number): void {
    const discontinuity = this.#newRun && this.#nextMsn > 0;
    if (discontinuity) this.#discontinuities++;
    this.#newRun = false;
    const discontinuities = this.#discontinuities;
    const msn = this.#nextMsn++;
    this.#segments.push({ msn, wallMs, discontinuity, discontinuities, init: this.#init, parts: [], complete: false });
  }

  add(part: Part): void {
    this.#segments.at(-1)?.parts.push(part);
  }

  /** A segment without media is taken back. */
  end(): void {
    const last = this.#segments.at(-1);
    if (!last || last.complete) return;
    if (last.parts.length === 0) {
      this.#segments.pop();
      this.#nextMsn--;
      if (last.discontinuity) this.#discontinuities--;
      this.#newRun ||= last.discontinuity;
      return;
    }
    last.complete = true;
    // A segment stays available for its own duration and that of the playlist (RFC 8216bis, 6.2.2).
    this.#segments = this.#segments.slice(-(this.#rules.window * 2 + 1));
    const oldest = this.#segments[0]!.init;
    for (const init of this.#inits.keys()) if (init < oldest) this.#inits.delete(init);
  }

  finish(): void {
    this.end();
    this.#ended = true;
  }

  playlist(): string {
    const { window, targetDurationS, partTargetMs } = this.#rules;
    const open = this.#segments.at(-1)?.complete === false;
    const listed = this.#segments.slice(-(window + (open ? 1 : 0)));
    // A segment that has just begun has nothing to list.
    const segments = open && listed.at(-1)!.parts.length === 0 ? listed.slice(0, -1) : listed;
    return mediaPlaylist({ segments, targetDurationS, partTargetMs, ended: this.#ended });
  }

  /**
   * Whether the playlist has a segment, or a part of it. `beyond`: a player that reads the playlists cannot ask for it.
   */
  has(msn: number, part: number | undefined): boolean | 'beyond' {
    const last = this.#segments.at(-1);
    const lastMsn = last?.msn ?? -1;
    if (msn > lastMsn + 2) return 'beyond';
    const segment = this.#segments.find((one) => one.msn === msn);
    if (!segment) return msn <= lastMsn;
    if (part === undefined || segment.complete) return segment.complete && this.#hasFollowing(segment, part);
    return segment.parts.length > part;
  }

  /** A part behind the last one of a segment is the first one of the next segment (RFC 8216bis, 6.2.5.2). */
  #hasFollowing({ msn, parts }: Segment, part: number | undefined): boolean {
    if (part === undefined || part < parts.length) return true;
    const next = this.#segments.find((one) => one.msn === msn + 1);
    return next !== undefined && next.parts.length > 0;
  }

  init(init: number): Buffer | undefined {
    return this.#inits.get(init);
  }

  segment(msn: number): Found {
    const segment = this.#segments.find((one) => one.msn === msn);
    if (segment?.complete) return segment.parts.map(({ bytes }) => bytes);
    return segment ? 'later' : undefined;
  }

  part(msn: number, index: number): Found {
    const segment = this.#segments.find((one) => one.msn === msn);
    const part = segment?.parts[index];
    if (part) return [part.bytes];
    const isHinted = segment
      ? !segment.complete && index === segment.parts.length
      : msn === this.#nextMsn && index === 0;
    return isHinted && !this.#ended ? 'later' : undefined;
  }
}
