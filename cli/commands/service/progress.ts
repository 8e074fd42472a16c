import type { ApiTask } from '../task-listing.ts';

/** One poll: which slots run what was asked for. */
export interface Progress {
  /** Tasks that should run. */
  wanted: number;
  /** Newest task of each slot, or of each node for global services. */
  slots: { name: string; task: ApiTask | undefined }[];
  converged: boolean;
}
