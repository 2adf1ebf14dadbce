import { operations, TOKEN, type Operation } from '../openapi/operation.ts';

const op = operations('HLS');

export const HLS_OPERATIONS: readonly Operation[] = [
  op('get', '/hls/{stream}/{file}', 'watchStream', 'A live stream as HLS: index.m3u8, the playlist to begin with', {
    query: TOKEN,
    answer: { text: 'application/vnd.apple.mpegurl' },
    errors: [
      'STREAM_NOT_FOUND',
      'ROUTE_NOT_FOUND',
      'LIMIT_REACHED',
      'OVERLOADED',
      'STREAM_NOT_READY',
      'TRANSCODING_DISABLED',
    ],
  }),
  ...(['', '/{quality}'] as const).map((quality) =>
    op(
      'get',
      `/hls/{stream}/{session}${quality}/{file}`,
      quality ? 'getHlsQualityFile' : 'getHlsFile',
      quality
        ? 'The same of a lower quality'
        : 'A playlist, segment or part that a playlist names; the session in the path stands for the right to play',
      {
        query: {
          _HLS_msn: { schema: { type: 'integer' }, description: 'The segment for which the answer waits.' },
          _HLS_part: { schema: { type: 'integer' }, description: 'The part of it.' },
          _HLS_skip: {
            schema: { type: 'string', enum: ['YES', 'v2'] },
            description: 'Leave out older segments, which the player knows.',
          },
        },
        answer: { text: 'video/mp4' },
        open: true,
        errors: [
          'INVALID_REQUEST',
          'TOKEN_EXPIRED',
          'SESSION_NOT_FOUND',
          'ROUTE_NOT_FOUND',
          'LIMIT_REACHED',
          'STREAM_NOT_READY',
          ...(quality ? (['ENCODER_FAILED'] as const) : []),
        ],
      },
    ),
  ),
];
