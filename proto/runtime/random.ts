/** A source of numbers in [0, 1). Cores take one as an argument; simulations pass a seeded one. */
export type Random = () => number;

export const systemRandom: Random = () => Math.random();
