import type { EnrollmentGate, GallerySettings } from '../gallery.types';

/** As stores wrote the name of the setting until 2026-11. */
const FORMER_GATE_NAME = 'enrolmentGate';

/** The settings of a gallery as the code names them, whenever they were written. */
export function readSettings<T extends Partial<GallerySettings>>(stored: T): T {
  const { [FORMER_GATE_NAME]: enrollmentGate, ...settings } = stored as T & {
    [FORMER_GATE_NAME]?: EnrollmentGate;
  };
  return (enrollmentGate === undefined ? settings : { enrollmentGate, ...settings }) as T;
}
