import { streamItem, type ConsoleItem } from './console-stage.ts';

/** A gateway on a busy day, for the screenshots of the console. */

const NAMES = [
  ...['main-stage', 'choir', 'pulpit-camera', 'overflow-room', 'interview', 'backstage', 'drone', 'lobby'],
  ...['translation-de', 'translation-fr', 'telephone-callers', 'youth-hall'],
];

const push = (key: string, stream: string, destination: string, fields: object, numbers: number[]): ConsoleItem => ({
  kind: 'push',
  key,
  fields: {
    ...{ mediaSessionId: key, sourceStreamName: stream, destination, status: 'pushing', reason: '', legs: [] },
    ...{ muted: false, soundEnabled: false, startedAt: '2026-01-01T10:01:00.000Z', attempt: 0, ...fields },
  },
  numbers,
});

const destination = (id: string, name: string, url: string, fields: object) => ({
  ...{ id, name, destination: url, allowStreams: [], groups: ['sunday'], ...fields },
  ...{ createdAt: '2026-01-01T09:00:00.000Z', changedAt: '2026-01-01T09:00:00.000Z' },
});

/** The figures of a stream over some seconds, for its charts. */
export const showcaseTick = (second: number): ConsoleItem[] => {
  const wave = Math.sin(second / 4);
  return [
    { kind: 'stream', key: 'main-stage', numbers: [6100 + Math.round(400 * wave), 98e6, 0, 1, 18 + (second % 5)] },
    { kind: 'push', key: 'p1', numbers: [6000 + Math.round(350 * wave), 30, 0, 400 + Math.round(60 * wave), 98e6] },
    { kind: 'push', key: 'p2', numbers: [4000 + Math.round(200 * wave), 29.9, 3, 620 - Math.round(80 * wave), 71e6] },
  ];
};

export function showcase() {
  const streams = NAMES.map((name, index) =>
    streamItem(name, [6200, 2500, 3100, 1200, 980, 2400, 4100, 640][index % 8], {
      ...(index % 3 === 0 && { recording: true }),
      ...(index === 3 && { status: 'held' }),
      ...(index === 4 && { standby: true }),
      ...(index % 4 === 1 && { width: 1920, height: 1080 }),
      ...(index === 10 && { videoCodec: null, protocol: 'SIP', width: 0, height: 0 }),
      viewers: (index * 7) % 23,
    }),
  );
  const pushes = [
    push(
      'p1',
      'main-stage',
      'rtmp://a.rtmp.youtube.com/live2',
      { platform: 'youtube', groupId: 'sunday' },
      [6100, 30, 0, 400, 98e6],
    ),
    push(
      'p2',
      'main-stage',
      'rtmps://live-api-s.facebook.com/rtmp',
      { platform: 'facebook', groupId: 'sunday' },
      [4000, 30, 3, 620, 71e6],
    ),
    push(
      'p3',
      'main-stage',
      'rtmp://archive.example/live',
      { status: 'retrying', reason: 'The server has closed the connection. Next attempt in 4 s.', attempt: 2 },
      [0, 0, 41, 0, 12e6],
    ),
    push('p4', 'interview', 'rtmp://a.rtmp.youtube.com/live2', { status: 'standby' }, [800, 30, 0, 300, 11e6]),
  ];
  return {
    items: [...streams, ...pushes],
    events: [
      {
        type: 'stream.published',
        level: 'good',
        stream: 'main-stage',
        text: 'The stream is live, with H.264 and Opus.',
      },
      {
        type: 'push.pushing',
        level: 'good',
        stream: 'main-stage',
        text: 'rtmp://a.rtmp.youtube.com/live2 receives the stream.',
      },
      {
        ...{ type: 'push.retrying', level: 'warning', stream: 'main-stage' },
        text: 'rtmp://archive.example/live is lost and will be tried again: the server has closed the connection.',
      },
      {
        type: 'stream.lost',
        level: 'warning',
        stream: 'overflow-room',
        text: 'The publisher was lost. The stream is held for its return.',
      },
    ],
    answers: {
      'GET /api/v1/destinations': [
        destination('our-youtube', 'Our YouTube', 'rtmp://a.rtmp.youtube.com/live2', {
          platform: 'youtube',
          keyHint: '…wxyz',
          backup: true,
        }),
        destination('our-facebook', 'Our Facebook page', 'rtmps://live-api-s.facebook.com/rtmp', {
          platform: 'facebook',
          comply: 'auto',
        }),
        destination('archive', 'Archive', 'rtmp://archive.example/live', { standby: true }),
      ],
      'GET /api/v1/destination-groups': [
        {
          id: 'sunday',
          name: 'Sunday service',
          destinationIds: ['our-youtube', 'our-facebook', 'archive'],
          onPublish: [],
        },
        { id: 'backup', name: 'Archive only', destinationIds: ['archive'], onPublish: ['choir', 'studio-*'] },
      ],
      'GET /api/v1/platforms': [
        { id: 'youtube', name: 'YouTube', ingest: {}, backup: {}, rules: [] },
        { id: 'facebook', name: 'Facebook', ingest: {}, rules: [] },
      ],
      'GET /api/v1/recordings': {
        recordings: ['main-stage', 'choir', 'lobby'].map((stream, index) => ({
          ...{
            id: `r${index}`,
            stream,
            file: `${stream}-2026-01-01T10-00-00Z.mp4`,
            state: index === 0 ? 'recording' : 'complete',
          },
          ...{ startedAt: '2026-01-01T10:00:00.000Z', durationMs: 3_600_000, bytes: 1.2e9, width: 1280, reason: '' },
        })),
        next: null,
      },
      'GET /api/v1/settings': [
        { key: 'http.port', value: 8081, default: 8081, source: 'file', set: false },
        { key: 'rest_api_key', source: 'environment', secret: true, set: true },
        { key: 'standby', value: true, default: false, source: 'file', set: true },
        { key: 'sip', value: true, default: false, source: 'file', set: true },
        { key: 'rooms', value: true, default: true, source: 'default', set: false },
      ],
      'GET /api/v1/streams': [],
      'GET /api/v1/transponders': [],
    } as Record<string, unknown>,
  };
}
