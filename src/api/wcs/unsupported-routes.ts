import type { FastifyPluginAsync } from 'fastify';
import { GatewayError } from '../../errors.ts';

/**
 * Parts of WCS's REST interface that this gateway does not have: the first path segment below `/rest-api`, and what it
 * controls.
 */
const FEATURES: Readonly<Record<string, string>> = {
  api: 'sessions and SIP calls by REST',
  cdn: 'the CDN of WCS nodes',
  hls: 'HLS packaging',
  mixer: 'mixers',
  mpegts: 'MPEG-TS ingest',
  multipleRecorder: 'recording of several streams',
  pull: 'pulling streams from other servers',
  recorder: 'recording of several streams in one file',
  rtmp: 'RTMP pull',
  rtsp: 'RTSP capture',
  transcoder: 'transcoders by REST',
  vod: 'streams from files',
  'vod-live': 'streams from files',
};

/** Single methods of parts that the gateway has otherwise. */
const METHODS: Readonly<Record<string, string>> = {
  'connection/set_log_level': 'log levels of single connections',
  'stream/inject': 'replacing the media of streams',
  'stream/metrics': 'metrics of a single stream; /rest-api/stream/find shows them with "display": ["metrics"]',
};

const notImplemented = (what: string): GatewayError =>
  new GatewayError('NOT_IMPLEMENTED', `This gateway does not implement ${what}. See docs/rest.md for what it does.`);

/**
 * Answers 501 for the rest of WCS's REST interface, so that clients can tell it from a misspelt path. To be registered
 * below `/rest-api`.
 */
export const unsupportedRoutes: FastifyPluginAsync = async (app) => {
  const refuse = (path: string, feature: string, urls: readonly string[]): void => {
    const fail = (): never => {
      throw notImplemented(`${feature} (/rest-api/${path})`);
    };
    // Before the body is read: it may have any type.
    for (const url of urls) app.all(url, { config: { action: 'read' }, onRequest: async () => fail() }, fail);
  };
  for (const [segment, feature] of Object.entries(FEATURES)) refuse(segment, feature, [`/${segment}`, `/${segment}/*`]);
  for (const [path, feature] of Object.entries(METHODS)) refuse(path, feature, [`/${path}`]);
};
