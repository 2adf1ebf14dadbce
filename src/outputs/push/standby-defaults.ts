import type { Settings } from '../../config/schema.ts';
import type { StandbyRequest } from './transponder-control.ts';

/** The standby of a push whose request says no more than that it wants it. */
export function standbyDefaults(settings: Settings): StandbyRequest {
  const { standby_file: file, standby_text: text } = settings;
  return {
    freezeMs: settings.standby_freeze_ms,
    source: settings.standby_source,
    ...(file && { file }),
    color: settings.standby_color,
    ...(text && { text }),
    holdMs: settings.standby_hold_ms,
    startWithStandby: false,
  };
}
