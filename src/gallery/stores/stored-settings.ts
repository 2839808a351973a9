import type { EnrollmentGate, GallerySettings } from '../gallery.types';

/** Name of the setting in stores written until 2026-11. */
const FORMER_GATE_NAME = 'enrolmentGate';

/** Maps the stored settings of a gallery to the current names. */
export function readSettings<T extends Partial<GallerySettings>>(stored: T): T {
  const { [FORMER_GATE_NAME]: enrollmentGate, ...settings } = stored as T & {
    [FORMER_GATE_NAME]?: EnrollmentGate;
  };
  return (enrollmentGate === undefined ? settings : { enrollmentGate, ...settings }) as T;
}
