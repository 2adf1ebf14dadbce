/** What a push may want. Without further imports: schemas of requests need it. */

export const VIDEO_CHOICES = ['auto', 'h264', 'source'] as const;
export const AUDIO_CHOICES = ['auto', 'aac', 'source'] as const;
export type VideoChoice = (typeof VIDEO_CHOICES)[number];
export type AudioChoice = (typeof AUDIO_CHOICES)[number];
