import { EcmaArray, encodeAmf0, type Amf0Object } from '../amf0.ts';
import type { StreamMetadata } from './flv-tag.ts';

/** Names of the values in `onMetaData` (FLV 10.1, E.5). */
const NAMES = {
  width: 'width',
  height: 'height',
  frameRate: 'framerate',
  videoBitrate: 'videodatarate',
  audioBitrate: 'audiodatarate',
  audioSampleRate: 'audiosamplerate',
  audioChannels: 'audiochannels',
  videoCodecId: 'videocodecid',
  audioCodecId: 'audiocodecid',
} as const satisfies Record<keyof StreamMetadata, string>;

/** The body of the script tag that describes a rendition: `onMetaData` and an ECMA array. */
export function onMetaData(metadata: StreamMetadata): Buffer {
  return encodeAmf0('onMetaData', new EcmaArray(metadataEntries(metadata)));
}

/** The values by their names in `onMetaData`, for writers that do not use a tag. */
export function metadataEntries(metadata: StreamMetadata): Amf0Object {
  const entries: Amf0Object = {};
  for (const [key, name] of Object.entries(NAMES)) {
    const value = metadata[key as keyof StreamMetadata];
    if (value !== undefined) entries[name] = value;
  }
  // Players read the number of channels from this flag; `audiochannels` is an addition of newer encoders.
  if (metadata.audioChannels !== undefined) entries.stereo = metadata.audioChannels === 2;
  return entries;
}
