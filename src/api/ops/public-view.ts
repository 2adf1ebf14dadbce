import type { TransponderView } from '../../outputs/push/transponder-view.ts';

/**
 * A transponder as pages and monitoring may see it: the destination without secrets in place of `rtmpUrl`. The published name is
 * a stream key unless it was made from the source's name.
 */
export function publicView(view: TransponderView, streamNamePrefix: string): TransponderView {
  const isMadeHere = view.streamName === streamNamePrefix + view.sourceStreamName;
  return { ...view, rtmpUrl: view.destination, streamName: isMadeHere ? view.streamName : '***' };
}
