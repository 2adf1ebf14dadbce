import { GatewayError } from '../../src/errors.ts';
import { verdict } from '../../src/outputs/push/platforms/verdict.ts';
import { savedIds } from '../../src/outputs/push/make-views.ts';
import type {
  RequestOrigin,
  PictureChange,
  StartRequest,
  TransponderControl,
  TransponderFilter,
} from '../../src/outputs/push/transponder-control.ts';
import type { LegView, TransponderView, Verdict } from '../../src/views/push-view.ts';

/** The view of a push for a request, without media, for tests of HTTP and signaling. */
export function viewOf(request: StartRequest, more: Partial<TransponderView> = {}): TransponderView {
  const view = {
    mediaSessionId: 'id-1',
    streamName: `rtmp_${request.streamName}`,
    rtmpUrl: request.rtmpUrl,
    width: 0,
    height: 0,
    muted: request.options?.action === 'mute',
    soundEnabled: request.options?.action === 'sound_on',
    options: request.options ?? {},
    status: 'connecting',
    reason: '',
    reasonCode: '',
    sourceStreamName: request.streamName,
    attempt: 1,
    startedAt: '2026-01-01T00:00:00.000Z',
    bytesSent: 0,
    bitrate: 0,
    fps: 0,
    framesDropped: 0,
    bufferMs: 0,
    destination: 'rtmp://example.com/live',
    ...savedIds(request),
    ...more,
  } satisfies Partial<TransponderView>;
  return { legs: [{ leg: 'primary', ...pick(view) }], ...view };
}

/** The one leg of a push without a backup. */
const pick = ({
  destination,
  status,
  reason,
  reasonCode,
  attempt,
  bytesSent,
  bitrate,
  fps,
  framesDropped,
  bufferMs,
}: Omit<TransponderView, 'legs'>): Omit<LegView, 'leg'> => ({
  status: status === 'standby' ? 'pushing' : status,
  ...{ destination, reason, reasonCode, attempt, bytesSent, bitrate, fps, framesDropped, bufferMs },
});

/** Keeps transponders in a map and records each call; `fail` makes the next call throw. */
export class FakeTransponders implements TransponderControl {
  readonly calls: unknown[][] = [];
  /** Of each start. */
  readonly origins: RequestOrigin[] = [];
  readonly views = new Map<string, TransponderView>();
  endedViews: TransponderView[] = [];
  fail: Error | undefined;
  readonly #listeners = new Set<(view: TransponderView) => void>();

  #call(...call: unknown[]): void {
    this.calls.push(call);
    const error = this.fail;
    this.fail = undefined;
    if (error) throw error;
  }

  #get(id: string): TransponderView {
    const view = this.views.get(id);
    if (!view) throw new GatewayError('TRANSPONDER_NOT_FOUND', `There is no transponder ${id}.`);
    return view;
  }

  change(view: TransponderView): void {
    if (view.status === 'ended') this.views.delete(view.mediaSessionId);
    else this.views.set(view.mediaSessionId, view);
    for (const listener of this.#listeners) listener(view);
  }

  async start(request: StartRequest, origin: RequestOrigin = {}): Promise<TransponderView> {
    this.origins.push(origin);
    this.#call('start', request);
    const view = viewOf(request, { mediaSessionId: `id-${this.calls.length}` });
    this.change(view);
    return view;
  }

  /** What a check waits for. */
  checking: (signal: AbortSignal) => Promise<void> = async () => undefined;

  async check(request: StartRequest, signal: AbortSignal): Promise<Verdict[]> {
    this.#call('check', request);
    await this.checking(signal);
    return [verdict('stream', 'ok', 'published')];
  }

  refuse(request: StartRequest, reason: GatewayError): void {
    this.#call('refuse', request, reason.code);
  }

  find(filter: TransponderFilter): TransponderView[] {
    this.#call('find', filter);
    const found = [...this.views.values()].filter(
      (view) =>
        (filter.mediaSessionId ?? view.mediaSessionId) === view.mediaSessionId &&
        (filter.rtmpUrl ?? view.rtmpUrl) === view.rtmpUrl &&
        [view.streamName, view.sourceStreamName].includes(filter.streamName ?? view.streamName),
    );
    if (found.length === 0) throw new GatewayError('TRANSPONDER_NOT_FOUND', 'No transponder matches.');
    return found;
  }

  ended(): TransponderView[] {
    return this.endedViews;
  }

  async terminate(id: string): Promise<void> {
    this.#call('terminate', id);
    this.change({ ...this.#get(id), status: 'ended', reasonCode: 'TERMINATED' });
  }

  mute(id: string): void {
    this.#call('mute', id);
    this.change({ ...this.#get(id), muted: true });
  }

  unmute(id: string): void {
    this.#call('unmute', id);
    this.change({ ...this.#get(id), muted: false });
  }

  async soundOn(id: string, soundFile: string, loop: boolean): Promise<void> {
    this.#call('soundOn', id, soundFile, loop);
    this.change({ ...this.#get(id), soundEnabled: true });
  }

  soundOff(id: string): void {
    this.#call('soundOff', id);
    this.change({ ...this.#get(id), soundEnabled: false });
  }

  async standby(id: string, on: boolean | undefined, picture: PictureChange): Promise<void> {
    this.#call('standby', id, on, picture);
    this.#get(id);
  }

  onChange(listener: (view: TransponderView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
