import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { GatewayError } from '../../errors.ts';
import { pathOf } from '../error-reply.ts';

/**
 * Parts of WCS's REST interface that this gateway does not have: the first path segment below `/rest-api`, and what it
 * controls.
 */
const FEATURES: Readonly<Record<string, string>> = {
  api: 'sessions and SIP calls by REST',
  call: 'SIP calls',
  cdn: 'the CDN of WCS nodes',
  connection: 'listing and closing WebSocket connections',
  data: 'sending data to WebSocket sessions',
  hls: 'HLS packaging',
  mixer: 'mixers',
  mpegts: 'MPEG-TS ingest',
  multipleRecorder: 'recording of several streams',
  pull: 'pulling streams from other servers',
  recorder: 'recording',
  rtmp: 'RTMP pull',
  rtsp: 'RTSP capture',
  stat: 'statistics of WCS',
  stream: 'listing and controlling streams',
  transcoder: 'transcoders by REST',
  vod: 'streams from files',
  'vod-live': 'streams from files',
};

const notImplemented = (what: string): GatewayError =>
  new GatewayError('NOT_IMPLEMENTED', `This gateway does not implement ${what}. See docs/rest.md for what it does.`);

/**
 * Answers 501 for the rest of WCS's REST interface, so that clients can tell it from a misspelt path. To be registered
 * below `/rest-api`.
 */
export const unsupportedRoutes: FastifyPluginAsync = async (app) => {
  for (const [segment, feature] of Object.entries(FEATURES)) {
    const refuse = (): never => {
      throw notImplemented(`${feature} (/rest-api/${segment})`);
    };
    for (const url of [`/${segment}`, `/${segment}/*`])
      // Before the body is read: it may have any type.
      app.all(url, { config: { action: 'read' }, onRequest: async () => refuse() }, refuse);
  }
};

/** `/?action=stat` is how clients of WCS poll its statistics. Without this they get the home page. */
export function refuseStatistics(request: FastifyRequest): void {
  const { action } = request.query as Record<string, unknown>;
  if (pathOf(request) === '/' && action === 'stat')
    throw notImplemented('statistics of WCS (/?action=stat); /health and /metrics show those of the gateway');
}
