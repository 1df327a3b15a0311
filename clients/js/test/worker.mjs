// The same in a worker of a browser: the options are its first message.
import { follow } from './follow.mjs';

onmessage = ({ data }) => follow(data, heard => postMessage(JSON.parse(JSON.stringify(heard))));
