import { toGatewayError, type GatewayError } from '../errors.ts';
import { parseDestination } from '../net/destination.ts';
import type { Logger } from '../observe/logger.ts';
import type { OrderedPush, PushControl, PushRequest } from './push-control.ts';
import { inBackground } from '../runtime/in-background.ts';
import type { PushView } from '../views/push-view.ts';

export interface RequestedPushesOptions {
  readonly streamName: string;
  /** Requested by the client. */
  readonly rtmpUrls: readonly string[];
  /** Ordered by the application server, whose order is the right to them. */
  readonly ordered?: readonly OrderedPush[];
  /** Of the publication's request. */
  readonly requestId?: string | undefined;
  readonly control: PushControl;
  /** @throws {GatewayError} FORBIDDEN when the client may not push there */
  readonly authorize?: ((rtmpUrl: string) => Promise<unknown>) | undefined;
  /** Called for every change of a push of the stream, and for each requested push that is refused. */
  readonly onView: (view: PushView) => void;
  readonly logger: Logger;
}

/**
 * Starts the pushes that were requested with a publication, and reports all pushes of its stream. A push that fails
 * never ends the publication.
 *
 * @returns the function that ends the reports; the pushes go on
 */
export function startRequestedPushes(options: RequestedPushesOptions): () => void {
  const { streamName, rtmpUrls, ordered = [], control, onView } = options;
  let reporting = true;
  const report = (view: PushView): void => {
    if (reporting) onView(view);
  };
  const stopListening = control.onChange((view) => {
    if (view.sourceStreamName === streamName) report(view);
  });
  for (const push of ordered)
    inBackground(start({ ...push, streamName }, { ...options, authorize: undefined }, report));
  for (const rtmpUrl of rtmpUrls)
    if (!ordered.some((push) => push.rtmpUrl === rtmpUrl))
      inBackground(start({ streamName, rtmpUrl }, options, report));
  return () => {
    reporting = false;
    stopListening();
  };
}

async function start(
  request: PushRequest,
  { control, authorize, requestId, logger }: RequestedPushesOptions,
  report: (view: PushView) => void,
): Promise<void> {
  try {
    await authorize?.(request.rtmpUrl);
    await control.start(request, { requestId });
  } catch (thrown) {
    const error = toGatewayError(thrown);
    // The push has continued while the publisher was away.
    if (error.code === 'TRANSPONDER_EXISTS') return reportRunning(request, control, report);
    const destination = redactedUrl(request);
    logger.warn({ destination, code: error.code, reason: error.message }, 'push refused');
    control.refuse(request, error);
    report(refusedView(request, destination, error));
  }
}

function reportRunning(request: PushRequest, control: PushControl, report: (view: PushView) => void): void {
  try {
    const running = control.find(request).find(({ status }) => status !== 'ended');
    if (running) report(running);
  } catch {
    // It has ended meanwhile, which was reported as a change.
  }
}

const refusedView = (request: PushRequest, destination: string, error: GatewayError): PushView => ({
  mediaSessionId: '',
  sourceStreamName: request.streamName,
  destination,
  status: 'ended',
  reason: error.message,
});

/** Safe to show; empty when `rtmpUrl` is not a URL. */
function redactedUrl({ rtmpUrl, streamName }: PushRequest): string {
  try {
    return parseDestination(rtmpUrl, streamName, { streamNamePrefix: '', fullUrl: false }).redacted;
  } catch {
    return '';
  }
}
