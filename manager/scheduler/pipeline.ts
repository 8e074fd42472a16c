import type { TaskObject } from '../../proto/objects/task.ts';
import type { Filter, FilterContext, NodeCheck } from './filters.ts';
import type { NodeInfo } from './node-info.ts';

/** The filters that concern one task. */
export class Pipeline {
  readonly #checks: { filter: Filter; check: NodeCheck }[];

  constructor(filters: readonly Filter[], task: TaskObject, context: FilterContext) {
    this.#checks = filters.flatMap((filter) => {
      const check = filter.prepare(task, context);
      return check === undefined ? [] : [{ filter, check }];
    });
  }

  fits(info: NodeInfo): boolean {
    return this.#checks.every(({ check }) => check(info));
  }

  /**
   * Why none of these nodes takes the task: every node counts for the first filter that refuses it, the
   * filter that refused most nodes comes first. Empty when a node fits or there is no node.
   */
  explain(nodes: Iterable<NodeInfo>): string {
    const refused = this.#checks.map(({ filter }) => ({ filter, nodes: 0 }));
    for (const info of nodes) {
      const at = this.#checks.findIndex(({ check }) => !check(info));
      const entry = refused[at];
      if (entry !== undefined) entry.nodes++;
    }
    return refused
      .filter((entry) => entry.nodes > 0)
      .toSorted((a, b) => b.nodes - a.nodes)
      .map((entry) => entry.filter.explain(entry.nodes))
      .join('; ');
  }
}
