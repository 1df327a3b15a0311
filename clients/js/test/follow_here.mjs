// The same as a program of Node, Deno or Bun: the options are its argument, what it hears a line each.
import { follow } from './follow.mjs';

follow(JSON.parse(process.argv[2]), heard => console.log(JSON.stringify(heard)));
