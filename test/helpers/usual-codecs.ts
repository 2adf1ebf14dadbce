import type { PushCodecsOptions } from '../../src/outputs/push/codecs/push-codecs.ts';

/** As the settings are by default, for servers of which nothing is known. */
export const usualCodecs: PushCodecsOptions = {
  video: 'auto',
  audio: 'auto',
  otherAudio: 'aac',
  clipCodecs: new Set(),
  memory: { recall: async () => ({}), learn: async () => undefined },
};
