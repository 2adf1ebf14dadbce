import type { TransponderView } from '../../views/push-view.ts';

/**
 * A transponder as pages and monitoring may see it: `rtmpUrl` is the destination without secrets. The published name
 * may be a stream key unless it was derived from the name of the source.
 */
export function publicView(view: TransponderView, streamNamePrefix: string): TransponderView {
  const isDerived = view.streamName === streamNamePrefix + view.sourceStreamName;
  return { ...view, rtmpUrl: view.destination, streamName: isDerived ? view.streamName : '***' };
}
