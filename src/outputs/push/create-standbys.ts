import type { Settings } from '../../config/schema.ts';
import type { Logger } from '../../observe/logger.ts';
import type { EncoderPool } from '../../renditions/encoder-pool.ts';
import { freezeFrames } from '../../renditions/standby/freeze-frames.ts';
import { StandbyClips } from '../../renditions/standby/standby-clips.ts';
import type { Assembly } from '../../runtime/assembly.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { StandbyRenditions } from './standby-renditions.ts';

export interface StandbyParts {
  readonly registry: StreamRegistry;
  readonly encoders: EncoderPool;
  readonly logger: Logger;
}

/** Creates what makes the renditions of outputs with standby. */
export function createStandbys(settings: Settings, parts: StandbyParts, assembly: Assembly): StandbyRenditions {
  const clips = assembly.add(new StandbyClips({ directory: settings.media_dir, logger: parts.logger }));
  return new StandbyRenditions({ ...parts, clips, freezeFrames, keyFrameIntervalMs: settings.key_frame_interval_ms });
}
